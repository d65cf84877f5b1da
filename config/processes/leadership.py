"""One housekeeping process leads: it alone runs the chores of the whole installation.

It holds a lease, a row with an end by the database's clock, and renews it every few seconds. If it is killed, frozen
or cut off from the database, its lease ends, and the housekeeping of another host takes over: within 25 seconds, or
at once on the same host. A process that finds that it has lost the lease ends, so that none of its chores goes on;
its supervisor starts another. SQLite is used by one host only, whose housekeeping always leads.
"""

import fcntl
import os
import socket
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import structlog
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import Q
from django.db.models.functions import Now

from config.processes.file_locks import open_lock, try_lock
from uploads.models import HousekeepingLeader
from uploads.runtime.boot_id import BOOT_ID
from uploads.runtime.database_connections import release_connection, write
from uploads.runtime.essential_threads import end_process

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=20)
_RENEW_EVERY = 5.0
_MARGIN = 2.0  # seconds before the end of its lease, after which the leader begins no other chore


class Leadership:
    """`lock` is a file in HOME: the process that holds its lock may take over from one of the same HOME at once."""

    def __init__(self, lock: Path) -> None:
        self._token = uuid.uuid4()
        self._until: float | None = None  # on the clock of _now(); None: it has never led
        self._lock = open_lock(lock)
        self._is_waiting = False

    @property
    def is_held(self) -> bool:
        return connection.vendor == "sqlite" or (self._until is not None and _now() < self._until)

    def keep(self) -> NoReturn:
        """Renew the lease, or wait for that of another process to end."""
        while True:
            time.sleep(_RENEW_EVERY)
            self.renew()

    def renew(self) -> None:
        """Renew the lease, or take it if it is free. Ends this process if it has led and another leads now."""
        if connection.vendor == "sqlite":
            return
        asked_at = _now()
        try:
            is_ours = self._take() or (self._make_row() and self._take())
        except DatabaseError:
            log.warning("leadership_not_renewed", exc_info=True)
            close_old_connections()
            return
        if is_ours:
            self._note_held(asked_at + LEASE.total_seconds() - _MARGIN)
        elif self._until is not None:
            end_process("leadership_lost", leader=_leading_host())
        elif not self._is_waiting:
            self._is_waiting = True
            log.info("housekeeping_waits", leader=_leading_host())
        release_connection()

    def _note_held(self, until: float) -> None:
        if self._until is None:
            log.info("housekeeping_leads")
        self._until = until

    def _take(self) -> bool:
        free, home = Q(token=self._token) | Q(until__lt=Now()), self._home()
        if home:
            free |= Q(home=home)  # its process has ended, as this one has the lock
        with write():
            return bool(
                HousekeepingLeader.objects.filter(free).update(
                    token=self._token, home=home, host=socket.gethostname(), until=Now() + LEASE
                )
            )

    def _make_row(self) -> bool:
        """Returns whether the row was missing. It is made without a leader."""
        if HousekeepingLeader.objects.exists():
            return False
        row = HousekeepingLeader(token=self._token, until=Now() - LEASE)
        HousekeepingLeader.objects.bulk_create([row], ignore_conflicts=True)
        return True

    def _home(self) -> str:
        """Identifies the lock file, if this process holds its lock. A copy of HOME has another inode."""
        if not (BOOT_ID and try_lock(self._lock, fcntl.LOCK_EX)):
            return ""
        file = os.fstat(self._lock)
        return f"{BOOT_ID} {file.st_dev} {file.st_ino}"


def _leading_host() -> str | None:
    return HousekeepingLeader.objects.values_list("host", flat=True).first()


def _now() -> float:
    """Seconds since boot. Linux's other steady clock stops while the machine is suspended, and leases do not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
