"""Random access to bytes of a store that only sends ranges, such as an object store.

Each range is one request. The first range after a seek is small: a program that looks at the end of a large file, or
jumps from index to index, fetches little. While it reads on, each range is twice as long as the last, so that
reading from start to end takes few requests.
"""

import io
from collections.abc import Callable
from typing import Any, BinaryIO

_SMALLEST, _LARGEST = 32 * 1024, 64 * 1024**2
_PIECE = 1024**2

# Open the bytes from a start to an end, which is not among them.
OpenRange = Callable[[int, int], BinaryIO]


class SeekableReader(io.RawIOBase):
    def __init__(self, open_range: OpenRange, size: int) -> None:
        self._open_range, self._size = open_range, size
        self._at = 0
        # The range that is open: where its next byte is in the whole, where it ends, and how long it was.
        self._range: BinaryIO | None = None
        self._next = self._end = self._length = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}
        if whence not in base:
            raise ValueError("whence must be SEEK_SET, SEEK_CUR or SEEK_END")
        if base[whence] + offset < 0:
            raise ValueError("a position cannot be negative")
        self._at = base[whence] + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        if self.closed:
            raise ValueError("the file is closed")
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        found = self._range_at(wanted)
        part = memoryview(buffer)[: min(wanted, self._end - self._at)]
        count: int = found.readinto(part)  # type: ignore[attr-defined]  # readers of all stores have it
        if not count:
            raise OSError(f"The file has {self._at} bytes in the store, and should have {self._size}.")
        self._at = self._next = self._at + count
        return count

    def readall(self) -> bytes:
        """Read the rest, with one request if no range is open here."""
        rest = bytearray(max(0, self._size - self._at))
        view, filled = memoryview(rest), 0
        if rest:
            self._range_at(len(rest))
        while filled < len(rest):
            filled += self.readinto(view[filled : filled + _PIECE])
        return bytes(rest)

    def _range_at(self, wanted: int) -> BinaryIO:
        """Return the open range, if the next byte is in it, or open another."""
        if self._range is not None and self._at == self._next < self._end:
            return self._range
        is_sequential = self._at == self._next == self._end
        self._drop()
        self._length = max(wanted, min(self._length * 2, _LARGEST) if is_sequential else _SMALLEST)
        self._next, self._end = self._at, min(self._at + self._length, self._size)
        self._range = self._open_range(self._next, self._end)
        return self._range

    def _drop(self) -> None:
        if self._range is not None:
            self._range.close()
        self._range = None

    def close(self) -> None:
        self._drop()
        super().close()
