"""A multipart form, read as it comes: fields into memory, its one file into a receiver.

The syntax is left to the `multipart` library; here stands what we accept of it, and a way around the library for
the inside of a file: it takes no views, so that all of a file would be copied, and its search takes twice as long.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.http import QueryDict
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from ..errors import IncompleteBody, MalformedForm, TooLarge, TooManyFiles, UnsupportedCoding

# Bytes that may pass without anything of the form in them: a preamble, an epilogue. Both are legal, unused,
# and else a way to be sent gigabytes for nothing.
MAX_SILENCE = 64 * 1024
# One line of a part's header: so long that a file name which is too long is told so, and not "malformed".
MAX_HEADER = 32 * 1024

# Of a file, at a time, what the parser has to see: it copies all that it is given, more than once.
_STEP = 4 * 1024

_NO_BOUNDARY = "The form's boundary does not appear in its body."
_BROKEN = "The form cannot be read: its parts or their headers are broken."


@dataclass(frozen=True, slots=True)
class FilePart:
    """The head of the part that brings the file."""

    field: str
    name: str
    content_type: str


class Receiver(Protocol):
    """What takes the bytes of the file: a Reception."""

    def feed(self, data: bytes | memoryview) -> None: ...

    def seal(self) -> object: ...

    def abort(self, reason: BaseException | None = None) -> None: ...


class FormReader:
    """Reads a form in two steps: the fields before its file, and the file with the fields after it."""

    def __init__(
        self,
        boundary: bytes,
        pieces: Iterator[bytes | memoryview],
        *,
        max_memory: int,
        max_fields: int,
        file_is_last: bool = False,
    ) -> None:
        self.fields = QueryDict(mutable=True)
        self._boundary, self._delimiter = boundary, b"\r\n--" + boundary
        self._max_memory, self._max_fields, self._file_is_last = max_memory, max_fields, file_is_last
        self._receiver: Receiver | None = None
        self._segment: MultipartSegment | None = None
        self._value, self._memory = bytearray(), 0
        self._begun = False
        self._skimming = False  # in the file, and the parser holds nothing back: it would pass the next bytes on
        self._file_parts = self._read(pieces)

    def read_fields(self) -> FilePart | None:
        """Read the fields before the file. None: the form has ended, and has no file."""
        return next(self._file_parts, None)

    def read_file(self, receiver: Receiver) -> None:
        """Read the file and what follows it. On an error nothing of the file is left."""
        self._receiver = receiver
        try:
            for _ in self._file_parts:
                raise TooManyFiles("Send one file a request.")
            receiver.seal()
        except BaseException as error:
            receiver.abort(error)
            raise

    def _read(self, pieces: Iterator[bytes | memoryview]) -> Iterator[FilePart]:
        """Read the whole form. Stops at the beginning of each file part, until the receiver of its bytes is known."""
        parser = PushMultipartParser(self._boundary, max_header_size=MAX_HEADER, max_segment_count=self._max_fields)
        silence = 0
        for piece in self._portions(pieces):
            if self._skimming and not (piece := self._skim(piece)):
                continue
            silence += len(piece)
            for event in _events(parser, bytes(piece)):
                silence = 0
                if (file_part := self._take(event)) is not None:
                    yield file_part
            if silence > MAX_SILENCE:
                raise MalformedForm(_NO_BOUNDARY)
            # What it holds back begins with a CR, and is at most the delimiter and one byte.
            end = bytes(piece[-len(self._delimiter) - 1 :])
            self._skimming = self._is_file() and len(end) > len(self._delimiter) and b"\r" not in end
        _end(parser, begun=self._begun)

    def _portions(self, pieces: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """As they come; where the parser must look into the file, only as far as it must."""
        for piece in pieces:
            if self._receiver is not None and not self._skimming:
                # The view before this one may still be hashed, and nobody may feed another before its memory is
                # used again: so wait for it now.
                self._receiver.feed(b"")
            while self._is_file() and not self._skimming and len(piece) > _STEP:
                yield piece[:_STEP]
                piece = piece[_STEP:]
            yield piece

    def _skim(self, piece: bytes | memoryview) -> bytes | memoryview:
        """Feed what is certainly the file's. What is left is for the parser."""
        assert self._segment is not None
        assert self._receiver is not None
        size = _before_delimiter(piece, self._delimiter)
        # The parser counts on, but it looks whether these are too many only when it passes some on itself.
        self._segment.bytes_received += size
        if self._segment.bytes_received > int(self._segment.header("Content-Length", sys.maxsize)):
            raise MalformedForm(_BROKEN)
        self._receiver.feed(piece[:size])
        return piece[size:]

    def _take(self, event: MultipartSegment | bytes | None) -> FilePart | None:
        if event is None:
            self._end_part()
        elif isinstance(event, MultipartSegment):
            return self._begin_part(event)
        elif self._is_file():
            assert self._receiver is not None
            self._receiver.feed(event)
        else:
            self._keep(event)
        return None

    def _begin_part(self, segment: MultipartSegment) -> FilePart | None:
        self._begun = True
        if not segment.name:
            raise MalformedForm("A part of the form has no name.")
        if segment.header("Content-Transfer-Encoding", "binary").lower() not in {"binary", "7bit", "8bit"}:
            raise UnsupportedCoding("Parts of a form are taken as they are: send no Content-Transfer-Encoding.")
        self._segment, self._value = segment, bytearray()
        if self._is_file():
            return FilePart(segment.name, segment.filename or "", segment.content_type or "")
        if self._file_is_last and self._receiver is not None:
            raise MalformedForm(f"Send the field “{segment.name[:80]}” before the file: none may follow it.")
        return None

    def _is_file(self) -> bool:
        # A browser sends an empty name for a file field that nobody filled in: that is no file.
        return self._segment is not None and bool(self._segment.filename)

    def _keep(self, data: bytes) -> None:
        self._memory += len(data)
        if self._memory > self._max_memory:
            raise TooLarge(f"The fields of the form, without its file, may have {self._max_memory} bytes.")
        self._value += data

    def _end_part(self) -> None:
        assert self._segment is not None
        if self._segment.filename is None:
            name = self._segment.name or ""
            self.fields.appendlist(name, self._value.decode("utf-8", "replace"))
        self._segment = None


_Beginning = ctypes.c_char * 0  # of a view of any length


def _find_memmem() -> Callable[[int, int, bytes, int], int | None] | None:
    """The C library's search: twice as fast as `bytes.find`, and it needs no bytes, which would be a copy.

    POSIX has it since 2024, and the systems that we know long before.
    """
    # PyDLL, as letting go of the interpreter's lock, and getting it back, takes longer than most searches.
    function: Any = getattr(ctypes.PyDLL(None), "memmem", None)
    if function is not None:
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
        function.restype = ctypes.c_void_p
    found: Callable[[int, int, bytes, int], int | None] | None = function
    return found


_memmem = _find_memmem()


def find(wanted: bytes, data: bytes | memoryview) -> int:
    """Where `wanted` first stands in `data`, or -1. A view must be one of memory that can be written to."""
    if _memmem is None or isinstance(data, bytes):
        return bytes(data).find(wanted)
    beginning = _Beginning.from_buffer(data)
    start = ctypes.addressof(beginning)
    found = _memmem(start, len(data), wanted, len(wanted))
    return -1 if found is None else found - start


def _before_delimiter(piece: bytes | memoryview, delimiter: bytes) -> int:
    """How many bytes come before the delimiter, or before what the next piece may make one."""
    if (found := find(delimiter, piece)) >= 0:
        return found
    _, cr, after = bytes(piece[1 - len(delimiter) :]).rpartition(b"\r")
    begun = cr + after
    return len(piece) - len(begun) if cr and delimiter.startswith(begun) else len(piece)


def _events(parser: PushMultipartParser, piece: bytes) -> Iterator[MultipartSegment | bytes | None]:
    try:
        yield from parser.parse(piece)
    except MultipartError as error:
        raise MalformedForm(_BROKEN) from error


def _end(parser: PushMultipartParser, *, begun: bool) -> None:
    try:
        parser.close()
    except MultipartError as error:
        if not begun:
            raise MalformedForm(_NO_BOUNDARY) from error
        raise IncompleteBody("The form ends before its closing boundary.") from error
