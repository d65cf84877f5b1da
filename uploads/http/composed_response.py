"""A response made of byte strings and ranges of one file: a virtual file, which is stored nowhere.

Our web server sends the ranges with sendfile(); other servers get them read piece by piece.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from django.http import StreamingHttpResponse

_PIECE = 256 * 1024
_SHORT_GAP = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes of an open file of this machine."""

    fileno: int
    start: int
    end: int


Part = bytes | tuple[int, int]  # bytes, or a range of the file


class ComposedResponse(StreamingHttpResponse):
    """`open_range` opens the file's bytes from a start to an end."""

    def __init__(self, open_range: Callable[[int, int], BinaryIO], parts: Sequence[Part], content_type: str) -> None:
        ranges = [part for part in parts if isinstance(part, tuple)]
        self._parts, self._open_range = parts, open_range
        self._begin = min((start for start, _ in ranges), default=0)
        self._end = max((end for _, end in ranges), default=0)
        self._file: BinaryIO | None = None
        super().__init__(self._read(), content_type=content_type)
        length = sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
        self["Content-Length"] = str(length)
        if ranges:
            self._file = open_range(self._begin, self._end)  # now, as an error later would cut the answer off

    def pieces(self) -> Iterator[bytes | FileRange]:
        """Ranges as they are, if the file is on this machine; else their bytes."""
        number = fileno_of(self._file)
        if number is None:
            yield from self._read()
            return
        for part in self._parts:
            yield part if isinstance(part, bytes) else FileRange(number, *part)

    def _read(self) -> Iterator[bytes]:
        at = self._begin
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
                continue
            start, end = part
            at = self._skip_to(at, start)
            while at < end:
                piece = self._next(end - at)
                at += len(piece)
                yield piece

    def _skip_to(self, at: int, start: int) -> int:
        """Read over a short gap: that is less work than another request to a store in the network."""
        if not at <= start <= at + _SHORT_GAP:
            assert self._file is not None
            self._file.close()
            self._file, at = self._open_range(start, self._end), start
        while at < start:
            at += len(self._next(start - at))
        return at

    def _next(self, most: int) -> bytes:
        assert self._file is not None
        piece = self._file.read(min(most, _PIECE))
        if not piece:
            raise EOFError("The file is shorter than its ranges.")
        return piece

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def fileno_of(file: BinaryIO | None) -> int | None:
    """The descriptor that sendfile() can send from. None for bytes that are not in a file of this machine."""
    try:
        return file.fileno() if file is not None else None
    except OSError:
        return None
