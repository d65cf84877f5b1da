"""Renew the leases of all open writes of this process, from one thread in one statement, every second."""

import threading
import time
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from django.db import connection
from django.db.models.functions import Now

from ..models import OpenWrite
from ..runtime.database_connections import release_connection, write
from ..runtime.essential_threads import start_essential

log = structlog.get_logger(__name__)
# Until another host may take over the writes of a process that died. A client that comes back waits so long.
LEASE = timedelta(seconds=4)
RENEWED_EVERY = 1.0  # seconds


class Leased(Protocol):
    token: UUID

    def lose(self) -> None:
        """The lease was taken over by another holder, or its row was deleted."""


class Leases:
    """The leases of this process. A renewal that comes late does no harm, unless another host was faster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[UUID, Leased] = {}
        self._thread: threading.Thread | None = None

    def add(self, lease: Leased) -> None:
        with self._lock:
            self._held[lease.token] = lease
            if self._thread is None:
                self._thread = start_essential("open writes", self._run)

    def remove(self, lease: Leased) -> None:
        with self._lock:
            self._held.pop(lease.token, None)

    def _run(self) -> None:
        while self._has_work():
            time.sleep(RENEWED_EVERY)
            self.renew()
        release_connection()

    def _has_work(self) -> bool:
        with self._lock:
            if not self._held:
                self._thread = None  # under the lock: the next `add` starts another thread
            return self._thread is not None

    def renew(self) -> None:
        with self._lock:
            tokens = list(self._held)
        if not tokens:
            return  # the last one was released since
        try:
            mine = OpenWrite.objects.filter(token__in=tokens)
            with write():
                mine.update(held_until=Now() + LEASE)
                kept = set(mine.values_list("token", flat=True))
        except Exception:  # any error: without renewals, other hosts would take over every write
            log.warning("open_writes_not_renewed", writes=len(tokens), exc_info=True)
            connection.close()
            return
        for token in set(tokens) - kept:
            self._lose(token)

    def _lose(self, token: UUID) -> None:
        with self._lock:
            lost = self._held.pop(token, None)
        if lost is not None:  # else it was released meanwhile
            log.warning("open_write_lost", token=str(token))
            lost.lose()


leases = Leases()
