"""Whether the clock may be trusted with what it would destroy.

A clock that jumps ahead by days makes every unfinished upload and every token look expired, and setting it right
brings none of them back. So what is deleted because of its age waits until all clocks have run as the monotonic one
does for an hour: after the start of the process (a machine without a battery starts in the past or the future), and
after each jump, forwards or backwards. A machine that slept looks like a jump, too; then it is an hour lost.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from django.db import DatabaseError, close_old_connections, connection

log = structlog.get_logger(__name__)
HOUR = 3600.0
# Clocks are set right by less than this all the time.
TOLERANCE = 120.0
# Tells seconds since 1970; None while it cannot be asked.
Clock = Callable[[], float | None]


class SteadyClock:
    def __init__(self, clocks: Mapping[str, Clock], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clocks, self._monotonic = clocks, monotonic
        self._lock = threading.Lock()
        self._since = monotonic()
        self._lead: dict[str, float] = {}  # of each clock over the monotonic one, at the last look
        log.info("clock_watch_begins", detail="For an hour nothing is deleted because of its age.")

    def is_steady(self) -> bool:
        """Look at the clocks, and say whether none has jumped for an hour."""
        with self._lock:
            looks = [self._look(name, clock) for name, clock in self._clocks.items()]
            return all(looks) and self._monotonic() - self._since >= HOUR

    def _look(self, name: str, clock: Clock) -> bool:
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
                detail="For an hour nothing is deleted because of its age.",
            )  # fmt: skip
        return True


def watch_clocks() -> SteadyClock:
    """That of this machine, and that of the database where it may be on another."""
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
