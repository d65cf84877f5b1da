"""Warnings about settings that are right for one host, and wrong for several that share a database."""

from collections.abc import Iterator

from django.conf import settings

from config.backends.fallback_cache import is_of_one_host
from uploads.hooks import ServiceWarning
from uploads.monitoring.chore_records import live_hosts


def warnings() -> Iterator[ServiceWarning]:
    hosts = live_hosts()
    if len(hosts) < 2:
        return
    named = f"Several hosts use this database ({', '.join(hosts)})"
    if is_of_one_host(settings.CACHES["default"]):
        yield ServiceWarning(
            "cache_not_shared",
            f"{named}, and each counts failed logins and requests by itself. Set CACHE_URL=redis://… on all of them.",
        )
    if settings.BROKER_URL.startswith("filesystem:"):
        yield ServiceWarning(
            "broker_not_shared",
            f"{named}, and workers notice jobs of other hosts late. Set BROKER_URL=redis://… on all of them.",
        )
