"""Let the requests of one address begin a few at a time.

All threads share the interpreter lock, so hundreds of requests of one address would delay the requests of all others.
If only a few requests of an address run at a time, all of them finish equally soon, and requests of other addresses
run in between.
"""

import time
from collections import Counter, deque
from collections.abc import Callable

from config.web_server.gunicorn_private import TConn

AT_ONCE = 2  # while one waits for the database, the other computes; the interpreter lock allows no more
COUNTS_FOR = 0.5  # seconds; a request that takes longer waits for its client or a disk and needs no core


class Turns:
    """Not thread-safe: only the poller thread uses it."""

    def __init__(self, start: Callable[[TConn], None]) -> None:
        self._start = start
        self._running: dict[TConn, tuple[str, float]] = {}  # in order of their start
        self._count: Counter[str] = Counter()
        self._waiting: dict[str, deque[TConn]] = {}

    @property
    def are_waited_for(self) -> bool:
        return bool(self._waiting)

    def begin(self, conn: TConn) -> None:
        """Start a request now or, if too many of its address run, when one of them has ended."""
        conn.has_turn = bool(conn.origin)
        if not conn.origin:  # not counted: a trusted proxy, which has many clients behind it
            self._start(conn)
        elif self._count[conn.origin] < AT_ONCE:
            self._run(conn)
        else:
            self._waiting.setdefault(conn.origin, deque()).append(conn)

    def end(self, conn: TConn) -> None:
        """The request has ended, or waits without computing. Calling this twice is harmless."""
        if conn not in self._running:
            return
        origin, _ = self._running.pop(conn)
        self._count[origin] -= 1
        if waiting := self._waiting.get(origin):
            self._run(waiting.popleft())
        if not waiting:
            self._waiting.pop(origin, None)
        if not self._count[origin]:
            del self._count[origin]

    def expire(self) -> None:
        now = time.monotonic()
        while self._running and (first := next(iter(self._running.items())))[1][1] < now:
            self.end(first[0])

    def _run(self, conn: TConn) -> None:
        self._count[conn.origin] += 1
        self._running[conn] = conn.origin, time.monotonic() + COUNTS_FOR
        self._start(conn)
