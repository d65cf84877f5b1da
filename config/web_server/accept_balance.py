"""Spread connections evenly over the web processes that accept from one listening socket.

The first process that wakes up would take all connections of a burst, and serve clients that keep their connections
with one core, while the other processes are idle. So each process shows the others how many connections it has, in
memory that they share, and leaves the next one to a process that has fewer. If none takes it within a moment, because
that process is busy or frozen, it takes the connection itself.
"""

import mmap
import struct
import time

_MOMENT = 0.005  # seconds for which a connection is left to others
_STILL = 0.1  # seconds after that within which a connection that waits is taken for the same one
_COUNT = struct.Struct("i")
_NOT_RUNNING = -1


class Counts:
    """The number of connections of each process. The master makes it before it starts them."""

    def __init__(self, processes: int) -> None:
        self._slots = 2 * processes  # during a reload the old processes are still there
        self._memory = mmap.mmap(-1, self._slots * _COUNT.size)
        self._taken: set[int] = set()
        for slot in range(self._slots):
            self.set(slot, _NOT_RUNNING)

    def take_slot(self) -> int:
        slot = min(set(range(self._slots)) - self._taken, default=0)
        self._taken.add(slot)
        return slot

    def free_slot(self, slot: int) -> None:
        """Called in the master when the process has ended."""
        self.set(slot, _NOT_RUNNING)
        self._taken.discard(slot)

    def set(self, slot: int, count: int) -> None:
        _COUNT.pack_into(self._memory, slot * _COUNT.size, count)

    def least_of_others(self, slot: int) -> int | None:
        counts = [count for number, (count,) in enumerate(_COUNT.iter_unpack(self._memory)) if number != slot]
        return min((count for count in counts if count != _NOT_RUNNING), default=None)


class Balance:
    """Of one process, used by its poller thread alone. A single process has no counts to compare."""

    def __init__(self, counts: Counts | None, slot: int) -> None:
        self._counts, self.slot = counts, slot
        self._again_at: float | None = None  # since it left a connection to others

    def show(self, connections: int) -> None:
        if self._counts is not None:
            self._counts.set(self.slot, connections)

    def leaves(self, connections: int) -> bool:
        """Whether to leave the connection that waits to another process, for a moment."""
        if self._counts is None:
            return False
        self.show(connections)
        left_until, self._again_at = self._again_at, None
        if left_until is not None and time.monotonic() - left_until < _STILL:
            return False  # no other process has taken it
        least = self._counts.least_of_others(self.slot)
        if least is None or least >= connections:
            return False
        self._again_at = time.monotonic() + _MOMENT
        return True

    @property
    def pause(self) -> float:
        """Seconds until this process may accept again."""
        return 0.0 if self._again_at is None else max(0.0, self._again_at - time.monotonic())
