"""Buffers that request bodies are read into: small for slow clients, large for fast ones, within one budget."""

import mmap
import threading
from contextlib import suppress

from ..content.hashing import PARALLEL_SIZE

TINY = 16 * 1024
SMALL = 64 * 1024
LARGE = 1024 * 1024
HUGE_PAGE = 2 * LARGE  # mapping memory as one huge page costs a tenth of mapping it page by page
_GROWTH = 4
# Reads in a row that fill the buffer before it grows: after 4 MB at first, so that short bursts stay cheap.
_FULL_READS_TO_GROW = 64
# Reads in a row that use less than a quarter of the buffer before it shrinks.
_SMALL_READS_TO_SHRINK = 8
# From this speed on, in bytes a second, a client starts with a large buffer.
FAST = 32 * 1024**2


class Budget:
    """The memory that all buffers share. Nothing waits for it: when it is used up, buffers are smaller."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.chunk_size: int | None = None  # of all buffers if memory allows it; None: depends on the client's speed
        self.taken = self._fast = 0
        self._lock = threading.Lock()

    def exchange(self, held: int, wanted: int) -> bool:
        """Replace `held` bytes by `wanted` bytes. False if that exceeds the limit: then nothing has changed."""
        with self._lock:
            if wanted > held and self.taken - held + wanted > self.limit:
                return False
            self.taken += wanted - held
            return True

    def force(self, wanted: int) -> None:
        with self._lock:
            self.taken += wanted

    def count_fast(self, change: int) -> None:
        """Add to the number of clients that fill their buffers at the moment."""
        with self._lock:
            self._fast += change

    @property
    def share(self) -> int:
        """An equal part of the limit for each fast client."""
        return self.limit // max(1, self._fast)

    @property
    def is_spent(self) -> bool:
        return self.taken > self.limit


budget = Budget(64 * 1024**2)  # the settings change the limit at start-up


class Buffers:
    """The buffers of one request, sized by the speed of its client.

    Large buffers are a pair, filled in turn: a helper thread may still hash the last piece while the next is read.
    They are mapped instead of allocated, so that memory returns to the system when a fast client slows down, and does
    not fragment the heap.
    """

    def __init__(self, speed: int = 0, shared: Budget = budget) -> None:
        """`speed`, in bytes a second, is that of earlier requests of the same upload."""
        self._budget = shared
        self._full_reads = self._small_reads = 0
        self._is_fast = False
        self._next = self._last = memoryview(b"")
        self._set_fast(speed >= FAST)
        self._size = TINY
        shared.force(_footprint(TINY))
        if shared.chunk_size is not None:
            self._approach(shared.chunk_size)
        elif not (self._is_fast and self._resize(LARGE)):
            self._resize(SMALL)

    def take(self) -> memoryview:
        """Return the buffer to fill next."""
        self._next, self._last = self._last, self._next
        if len(self._next) != self._size:
            self._make()
        return self._next

    def filled(self, count: int) -> None:
        """Report how many bytes were read into the buffer that take() returned, and adapt the size."""
        is_full = count == len(self._next)
        self._full_reads = self._full_reads + 1 if is_full else 0
        self._small_reads = self._small_reads + 1 if count < len(self._next) // _GROWTH else 0
        if is_full != self._is_fast:
            self._set_fast(is_full)
        if self._budget.is_spent:
            self._resize(TINY)
        elif (fixed := self._budget.chunk_size) is not None:
            if self._size > SMALL and _footprint(self._size) > self._budget.share:
                self._resize(SMALL)
            elif is_full and self._size < fixed:
                self._approach(fixed)
        elif self._full_reads >= _FULL_READS_TO_GROW and self._size < LARGE and self._resize(self._size * _GROWTH):
            self._full_reads = 0
        elif self._small_reads >= _SMALL_READS_TO_SHRINK or (
            self._size > SMALL and _footprint(self._size) > self._budget.share
        ):
            self._resize(min(self._size, SMALL))

    def _approach(self, size: int) -> None:
        """Resize to `size`, or to the largest half, quarter … of it that the budget allows."""
        while size > SMALL and not self._resize(size):
            size //= 2
        if size <= SMALL:
            self._resize(SMALL)

    def close(self) -> None:
        """Release the buffers, and return their memory to the budget."""
        self._next = self._last = memoryview(b"")
        self._budget.exchange(_footprint(self._size), 0)
        self._set_fast(False)

    def _set_fast(self, is_fast: bool) -> None:
        self._budget.count_fast(is_fast - self._is_fast)
        self._is_fast = is_fast

    def _resize(self, size: int) -> bool:
        """Change the size. False if the budget does not allow it."""
        if size == self._size:
            return True
        if size > SMALL and _footprint(size) > self._budget.share:
            return False
        if not self._budget.exchange(_footprint(self._size), _footprint(size)):
            return False
        self._size = size
        return True

    def _make(self) -> None:
        if self._size < PARALLEL_SIZE:
            self._next = self._last = _map(self._size)  # small pieces are hashed at once: one buffer is enough
        else:
            both = _map(2 * self._size)
            self._next, self._last = both[: self._size], both[self._size :]


def _footprint(size: int) -> int:
    return size if size < PARALLEL_SIZE else 2 * size


def _map(size: int) -> memoryview:
    # MAP_PRIVATE: Python's default is shared memory, of which each page costs twice as much.
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # not every kernel has huge pages
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapped)
