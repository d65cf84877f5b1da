"""Detect jumps of the clock, so that nothing is deleted by a wrong clock.

If the clock jumps ahead by days, every unfinished upload and every token looks expired and would be deleted.
Correcting the clock would not restore them. So chores that delete by age run only after the clock has agreed with the
monotonic clock for an hour: after the start of the process (a machine without a battery may start with a wrong date),
and after each jump, forwards or backwards. A suspended machine looks like a jump as well, and costs an hour.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from django.db import DatabaseError, close_old_connections, connection

log = structlog.get_logger(__name__)
HOUR = 3600.0
# Smaller corrections of clocks are normal. In seconds.
TOLERANCE = 120.0
# Returns seconds since 1970; None if it cannot be read.
Clock = Callable[[], float | None]


class SteadyClock:
    def __init__(self, clocks: Mapping[str, Clock], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clocks, self._monotonic = clocks, monotonic
        self._lock = threading.Lock()
        self._since = monotonic()
        self._lead: dict[str, float] = {}  # of each clock over the monotonic one, when it was last read
        log.info("clock_watch_started", detail="Nothing is deleted by age for an hour.")

    def is_steady(self) -> bool:
        """Read the clocks. True if none has jumped for an hour."""
        with self._lock:
            reads = [self._read(name, clock) for name, clock in self._clocks.items()]
            return all(reads) and self._monotonic() - self._since >= HOUR

    def _read(self, name: str, clock: Clock) -> bool:
        now = clock()
        if now is None:
            return False
        lead = now - self._monotonic()
        jump = lead - self._lead.setdefault(name, lead)
        self._lead[name] = lead
        if abs(jump) > TOLERANCE:
            self._since = self._monotonic()
            log.warning(
                "clock_jumped", clock=name, seconds=round(jump),
                detail="Nothing is deleted by age for an hour.",
            )  # fmt: skip
        return True


def watch_clocks() -> SteadyClock:
    """Watch the clock of this machine, and that of the database if it may run on another machine."""
    clocks: dict[str, Clock] = {"machine": time.time}
    if connection.vendor == "postgresql":
        clocks["database"] = _database_time
    return SteadyClock(clocks)


def _database_time() -> float | None:
    try:
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXTRACT(EPOCH FROM CLOCK_TIMESTAMP())")
            return float(cursor.fetchone()[0])
    except DatabaseError:
        log.warning("database_clock_not_read", exc_info=True)
        return None
