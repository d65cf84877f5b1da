"""Memory for bytes on their way: little for a client that trickles, more for one that is fast."""

import mmap
from contextlib import suppress

from .hashing import HANDED_OVER

SMALL = 64 * 1024
LARGE = 1024 * 1024
HUGE_PAGE = 2 * LARGE  # in one piece, memory comes at a tenth of what it costs page by page
_GROWTH = 4
# Full ones in a row before the next size: 4 MB at first, so that hundreds of short bursts stay cheap.
_FULL_IN_A_ROW = 64
_POOR_IN_A_ROW = 8
# Bytes a second that fill a large one in no time.
FAST = 32 * 1024**2


class Buffers:
    """The buffer to read into, sized by how fast the client is.

    Large ones are two, filled in turn: the last piece stays as it is while the next is read, as it may still be
    being hashed. Mapped, not allocated: what a fast client needed goes back to the system when it slows down, and
    does not become a hole in the heap.
    """

    def __init__(self, speed: int = 0) -> None:
        """`speed` is how many bytes a second came just before, in another request."""
        self._size = LARGE if speed >= FAST else SMALL
        self._full = self._poor = 0
        self._next = self._last = memoryview(b"")

    def take(self) -> memoryview:
        """The buffer to fill next."""
        self._next, self._last = self._last, self._next
        if len(self._next) != self._size:
            self._make()
        return self._next

    def filled(self, count: int) -> None:
        """How much of the last taken one was used."""
        self._full = self._full + 1 if count == len(self._next) else 0
        self._poor = self._poor + 1 if count < len(self._next) // _GROWTH else 0
        if self._full >= _FULL_IN_A_ROW and self._size < LARGE:
            self._size, self._full = self._size * _GROWTH, 0
        elif self._poor >= _POOR_IN_A_ROW:
            self._size = SMALL

    def _make(self) -> None:
        if self._size < HANDED_OVER:
            self._next = self._last = _map(self._size)  # one is enough
        else:
            both = _map(2 * self._size)
            self._next, self._last = both[: self._size], both[self._size :]


def _map(size: int) -> memoryview:
    # Private: Python's default is shared memory, of which each page costs twice as much.
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel may be without them
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapped)
