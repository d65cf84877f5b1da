"""Hosts that share a database must use one secret key: sessions and signed links of one are valid on the others.

The database keeps a fingerprint of the key. A host with another key does not start while the others may be running.
"""

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils.crypto import salted_hmac

from config.addresses import home_address
from uploads.models import SecretKeyUse
from uploads.monitoring.chore_records import live_hosts

log = structlog.get_logger(__name__)


def check_key() -> None:
    """At each start: raise ImproperlyConfigured if other hosts use another key. SQLite has one host, and no check."""
    if connection.vendor == "sqlite":
        return
    ours, home = _fingerprint(), home_address()
    known, _ = SecretKeyUse.objects.get_or_create(defaults={"fingerprint": ours, "home": home})
    if known.fingerprint == ours:
        return
    if known.home != home or live_hosts(but_this=True):
        raise ImproperlyConfigured(_refusal(known.home))
    log.warning("secret_key_changed", detail="Sessions and signed links from before are no longer valid.")
    adopt_key()


def adopt_key() -> None:
    """From now on, the key of this host is that of the installation."""
    SecretKeyUse.objects.update_or_create(defaults={"fingerprint": _fingerprint(), "home": home_address()})


def _fingerprint() -> str:
    return str(salted_hmac("millrace", "fingerprint of the secret key", algorithm="sha256").hexdigest())


def _refusal(home: str) -> str:
    return f"""The database is used with another secret key, which {home} brought. With two keys, sessions and signed
links of one host would not be valid on another.
  - Copy {home}/secret_key to {settings.HOME}/secret_key, or set the same MILLRACE_SECRET_KEY on all hosts.
  - Is the old key lost, or was it changed on purpose? Stop Millrace on all hosts, run manage.py adopt-secret-key on
    this one, and give its key to the others. Everybody has to sign in again."""
