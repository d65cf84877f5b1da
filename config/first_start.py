"""What must be there before the first request: folders, tables, the mark of the disk, a first account.

Several processes may start for the first time at once, on one HOME or on hosts that share a database: one of them
prepares, the others wait, and find that there is nothing left to do.
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
from uploads.conf import sink
from uploads.runtime.ballast_file import ballast
from uploads.storage.marker import claim_store

log = structlog.get_logger(__name__)
ADMIN = "admin"
_LOCK = 0x6D696C6C72616365  # "millrace", of all that might ask this database for an advisory lock


def prepare() -> None:
    if ballast().is_low:
        ballast().release()  # or nothing of what follows could be written; housekeeping makes it again
    with _alone():
        make_folders()
        for folder in (settings.JOBS.work_root, settings.STATIC_ROOT):
            folder.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0, interactive=False)
        claim_store(sink())
        file_modes.restrict()


def first_account() -> tuple[str, str] | None:
    """Make the first staff account. Its name and password, if that was made up here: it cannot be shown again.

    Accounts that `rebuild` made are inactive: nobody can sign in by them.
    """
    with _alone():
        accounts = get_user_model().objects
        if accounts.filter(is_active=True).exists():
            return None
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
        name = next(name for name in _names() if not accounts.filter(username=name).exists())
        accounts.create_superuser(name, email="", password=password)
        return None if settings.ADMIN_PASSWORD else (name, password)


def _names() -> Iterator[str]:
    yield ADMIN
    yield from (f"{ADMIN}-{number}" for number in count(2))  # beside one of that name that was rebuilt


@contextmanager
def _alone() -> Iterator[None]:
    """No other process prepares this HOME or, on PostgreSQL, this database meanwhile."""
    with ExitStack() as held:
        held.enter_context(exclusive(settings.HOME / "start.lock", _say_that_we_wait))
        if connection.vendor == "postgresql":
            held.enter_context(_advisory_lock())
        yield


def _say_that_we_wait() -> None:
    log.info("start_waits", reason="another process prepares this installation")


@contextmanager
def _advisory_lock() -> Iterator[None]:
    """On a connection of its own: that of this thread may be given back to the pool meanwhile."""
    with closing(connection.copy()) as own:
        own.set_autocommit(False)  # the lock is the transaction's, and ends with it whatever happens
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                _say_that_we_wait()
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            own.rollback()
