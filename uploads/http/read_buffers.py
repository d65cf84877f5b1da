"""Memory for bytes on their way: little for a client that trickles, more for a fast one, and a budget for all."""

import mmap
import threading
from contextlib import suppress

from ..content.hashing import HANDED_OVER

TINY = 16 * 1024
SMALL = 64 * 1024
LARGE = 1024 * 1024
HUGE_PAGE = 2 * LARGE  # in one piece, memory comes at a tenth of what it costs page by page
_GROWTH = 4
# Full ones in a row before the next size: 4 MB at first, so that hundreds of short bursts stay cheap.
_FULL_IN_A_ROW = 64
_POOR_IN_A_ROW = 8
# Bytes a second that fill a large one in no time.
FAST = 32 * 1024**2


class Budget:
    """The memory that all buffers share. Nobody waits for it: when it is spent, buffers are smaller."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.chunk_size: int | None = None  # of all buffers, if memory allows it; None: by the client's speed
        self.taken = self._fast = 0
        self._lock = threading.Lock()

    def exchange(self, held: int, wanted: int) -> bool:
        """Give back what is held and take what is wanted. False if there is not so much: nothing has changed then."""
        with self._lock:
            if wanted > held and self.taken - held + wanted > self.limit:
                return False
            self.taken += wanted - held
            return True

    def take_anyway(self, wanted: int) -> None:
        with self._lock:
            self.taken += wanted

    def count_fast(self, change: int) -> None:
        """So many clients more fill their buffers just now, or fewer."""
        with self._lock:
            self._fast += change

    @property
    def share(self) -> int:
        """What one fast client may have, so that as much is left for every other."""
        return self.limit // max(1, self._fast)

    @property
    def is_spent(self) -> bool:
        return self.taken > self.limit


budget = Budget(64 * 1024**2)  # the limit is set at the start, from the settings


class Buffers:
    """The buffer to read into, sized by how fast the client is.

    Large ones are two, filled in turn: the last piece stays as it is while the next is read, as it may still be
    being hashed. Mapped, not allocated: what a fast client needed goes back to the system when it slows down, and
    does not become a hole in the heap.
    """

    def __init__(self, speed: int = 0, shared: Budget = budget) -> None:
        """`speed` is how many bytes a second came just before, in another request."""
        self._budget = shared
        self._full = self._poor = 0
        self._is_fast = False
        self._next = self._last = memoryview(b"")
        self._set_fast(speed >= FAST)
        self._size = TINY
        shared.take_anyway(_footprint(TINY))
        if shared.chunk_size is not None:
            self._approach(shared.chunk_size)
        elif not (self._is_fast and self._resize(LARGE)):
            self._resize(SMALL)

    def take(self) -> memoryview:
        """The buffer to fill next."""
        self._next, self._last = self._last, self._next
        if len(self._next) != self._size:
            self._make()
        return self._next

    def filled(self, count: int) -> None:
        """How much of the last taken one was used."""
        is_full = count == len(self._next)
        self._full = self._full + 1 if is_full else 0
        self._poor = self._poor + 1 if count < len(self._next) // _GROWTH else 0
        if is_full != self._is_fast:
            self._set_fast(is_full)
        if self._budget.is_spent:
            self._resize(TINY)
        elif (fixed := self._budget.chunk_size) is not None:
            if self._size > SMALL and _footprint(self._size) > self._budget.share:
                self._resize(SMALL)
            elif is_full and self._size < fixed:
                self._approach(fixed)
        elif self._full >= _FULL_IN_A_ROW and self._size < LARGE and self._resize(self._size * _GROWTH):
            self._full = 0
        elif self._poor >= _POOR_IN_A_ROW or (self._size > SMALL and _footprint(self._size) > self._budget.share):
            self._resize(min(self._size, SMALL))

    def _approach(self, size: int) -> None:
        """Take that size, or the largest half, quarter … of it that there is memory for."""
        while size > SMALL and not self._resize(size):
            size //= 2
        if size <= SMALL:
            self._resize(SMALL)

    def close(self) -> None:
        """Give everything back."""
        self._next = self._last = memoryview(b"")
        self._budget.exchange(_footprint(self._size), 0)
        self._set_fast(False)

    def _set_fast(self, is_fast: bool) -> None:
        self._budget.count_fast(is_fast - self._is_fast)
        self._is_fast = is_fast

    def _resize(self, size: int) -> bool:
        """Whether the budget allows it."""
        if size == self._size:
            return True
        if size > SMALL and _footprint(size) > self._budget.share:
            return False
        if not self._budget.exchange(_footprint(self._size), _footprint(size)):
            return False
        self._size = size
        return True

    def _make(self) -> None:
        if self._size < HANDED_OVER:
            self._next = self._last = _map(self._size)  # one is enough
        else:
            both = _map(2 * self._size)
            self._next, self._last = both[: self._size], both[self._size :]


def _footprint(size: int) -> int:
    return size if size < HANDED_OVER else 2 * size


def _map(size: int) -> memoryview:
    # Private: Python's default is shared memory, of which each page costs twice as much.
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel may be without them
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapped)
