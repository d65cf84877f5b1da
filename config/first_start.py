"""Prepare an installation at each start: folders, tables, the storage marker, file modes, and a first account.

Several processes may start at once, on one HOME or on hosts that share a database. One of them prepares the
installation, the others wait for it.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from config import file_modes
from config.celery import make_folders
from config.processes.file_locks import exclusive
from config.shared_key import check_key
from uploads.runtime.ballast_file import ballast
from uploads.storage.marker import claim_store
from uploads.storage.stores import sinks

log = structlog.get_logger(__name__)
ADMIN = "admin"
_LOCK = 0x6D696C6C72616365  # "millrace" in ASCII: other programs may use advisory locks of this database, too


def prepare() -> None:
    if ballast().is_low:
        ballast().release()  # on a full disk nothing below could be written; housekeeping makes it again
    with _exclusively():
        make_folders()
        for folder in (settings.JOBS.work_root, settings.STATIC_ROOT):
            folder.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0, interactive=False)
        check_key()
        for place in sinks():
            claim_store(place)
        file_modes.restrict()


def first_account() -> tuple[str, str] | None:
    """Make an administrator if there is no active account. Returns name and password if the password is generated.

    The password cannot be shown again. Accounts that `rebuild` made are inactive, so they do not count.
    """
    with _exclusively():
        accounts = get_user_model().objects
        if accounts.filter(is_active=True).exists():
            return None
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
        name = next(name for name in _names() if not accounts.filter(username=name).exists())
        accounts.create_superuser(name, email="", password=password)
        return None if settings.ADMIN_PASSWORD else (name, password)


def _names() -> Iterator[str]:
    yield ADMIN
    yield from (f"{ADMIN}-{number}" for number in count(2))  # if `rebuild` has made an account of that name


@contextmanager
def _exclusively() -> Iterator[None]:
    """Keep other processes from preparing this HOME or, on PostgreSQL, this database at the same time."""
    with ExitStack() as held:
        held.enter_context(exclusive(settings.HOME / "start.lock", _log_wait))
        if connection.vendor == "postgresql":
            held.enter_context(_advisory_lock())
        yield


def _log_wait() -> None:
    log.info("start_waits", reason="another process is preparing this installation")


@contextmanager
def _advisory_lock() -> Iterator[None]:
    """Uses a connection of its own: the thread's connection may return to the pool while the lock is held."""
    with closing(connection.copy()) as own:
        own.set_autocommit(False)  # the lock belongs to the transaction and ends with it
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                _log_wait()
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            own.rollback()
