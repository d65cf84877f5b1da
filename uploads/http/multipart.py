"""Parse a multipart form while it arrives: fields into memory, its one file into a receiver.

The `multipart` library parses the syntax. This module limits what is accepted. The content of the file does not pass
through the library, which would copy all of it, and needs twice as long to search for the boundary.
"""

import ctypes
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.http import QueryDict
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from ..errors import IncompleteBody, MalformedForm, TooLarge, TooManyFiles, UnsupportedCoding
from ..text.sizes import human_size

# The limit of preamble and epilogue. Both are legal and unused: without a limit a client could send gigabytes.
MAX_SILENCE = 64 * 1024
# The limit of a line in a part's header: large, so that a too long file name gets its own error.
MAX_HEADER = 32 * 1024

# How much of a file the parser is given at a time, while it has to see the file: it copies its input several times.
_STEP = 4 * 1024

_NO_BOUNDARY = "The form's boundary does not appear in its body."
_BROKEN = "The form is malformed: a part or its header cannot be parsed."


@dataclass(frozen=True, slots=True)
class FilePart:
    """The head of the part that brings the file."""

    field: str
    name: str
    content_type: str


class Receiver(Protocol):
    """Takes the bytes of the file. A Reception is one."""

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
        before_file: Collection[str] = (),
    ) -> None:
        """`before_file` names fields that would come too late after the file. `file_is_last`: every field would."""
        self.fields = QueryDict(mutable=True)
        self._boundary, self._delimiter = boundary, b"\r\n--" + boundary
        self._max_memory, self._max_fields = max_memory, max_fields
        self._file_is_last, self._before_file = file_is_last, before_file
        self._receiver: Receiver | None = None
        self._segment: MultipartSegment | None = None
        self._value, self._memory = bytearray(), 0
        self._has_begun = False
        self._skips_parser = False  # inside the file, and the parser holds no bytes back: it would only pass them on
        self._file_parts = self._read(pieces)

    def read_fields(self) -> FilePart | None:
        """Read the fields before the file. None: the form has ended, and has no file."""
        return next(self._file_parts, None)

    def read_file(self, receiver: Receiver) -> None:
        """Read the file and what follows it. On an error the receiver is aborted."""
        self._receiver = receiver
        try:
            for _ in self._file_parts:
                raise TooManyFiles("Send one file per request.")
            receiver.seal()
        except BaseException as error:
            receiver.abort(error)
            raise

    def _read(self, pieces: Iterator[bytes | memoryview]) -> Iterator[FilePart]:
        """Read the whole form. Yields at the head of each file part, so that the caller can set the receiver."""
        parser = PushMultipartParser(self._boundary, max_header_size=MAX_HEADER, max_segment_count=self._max_fields)
        silence = 0
        for piece in self._portions(pieces):
            if self._skips_parser and not (piece := self._feed_directly(piece)):
                continue
            silence += len(piece)
            for event in _events(parser, bytes(piece)):
                silence = 0
                if (file_part := self._handle(event)) is not None:
                    yield file_part
            if silence > MAX_SILENCE:
                raise MalformedForm(_NO_BOUNDARY)
            # What the parser holds back begins with a CR, and is at most the delimiter and one byte.
            end = bytes(piece[-len(self._delimiter) - 1 :])
            self._skips_parser = self._is_file() and len(end) > len(self._delimiter) and b"\r" not in end
        _end(parser, has_begun=self._has_begun)

    def _portions(self, pieces: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """The pieces as they arrive; inside the file, small portions of them until the parser can be skipped."""
        for piece in pieces:
            if self._receiver is not None and not self._skips_parser:
                # The last view may still be hashed, and its memory may be reused before the next feed(): wait for it.
                self._receiver.feed(b"")
            while self._is_file() and not self._skips_parser and len(piece) > _STEP:
                yield piece[:_STEP]
                piece = piece[_STEP:]
            yield piece

    def _feed_directly(self, piece: bytes | memoryview) -> bytes | memoryview:
        """Feed what certainly belongs to the file. Return the rest, for the parser."""
        assert self._segment is not None
        assert self._receiver is not None
        size = _before_delimiter(piece, self._delimiter)
        # Count these bytes for the parser. It compares the count with the limit only when it returns bytes itself.
        self._segment.bytes_received += size
        if self._segment.bytes_received > int(self._segment.header("Content-Length", sys.maxsize)):
            raise MalformedForm(_BROKEN)
        self._receiver.feed(piece[:size])
        return piece[size:]

    def _handle(self, event: MultipartSegment | bytes | None) -> FilePart | None:
        if event is None:
            self._end_part()
        elif isinstance(event, MultipartSegment):
            return self._begin_part(event)
        elif self._is_file():
            assert self._receiver is not None
            self._receiver.feed(event)
        else:
            self._append_value(event)
        return None

    def _begin_part(self, segment: MultipartSegment) -> FilePart | None:
        self._has_begun = True
        if not segment.name:
            raise MalformedForm("A part of the form has no name.")
        if segment.header("Content-Transfer-Encoding", "binary").lower() not in {"binary", "7bit", "8bit"}:
            raise UnsupportedCoding("Send the parts of the form without Content-Transfer-Encoding.")
        self._segment, self._value = segment, bytearray()
        if self._is_file():
            return FilePart(segment.name, segment.filename or "", segment.content_type or "")
        if self._receiver is not None and (self._file_is_last or segment.name in self._before_file):
            raise MalformedForm(f"Send the field “{segment.name[:80]}” before the file.")
        return None

    def _is_file(self) -> bool:
        # For a file field without a file a browser sends an empty file name.
        return self._segment is not None and bool(self._segment.filename)

    def _append_value(self, data: bytes) -> None:
        self._memory += len(data)
        if self._memory > self._max_memory:
            allowed = human_size(self._max_memory)
            raise TooLarge(f"The fields of the form are too large: at most {allowed} are allowed, without the file.")
        self._value += data

    def _end_part(self) -> None:
        assert self._segment is not None
        if self._segment.filename is None:
            name = self._segment.name or ""
            self.fields.appendlist(name, self._value.decode("utf-8", "replace"))
        self._segment = None


_Beginning = ctypes.c_char * 0  # to get the address of a view of any length


def _find_memmem() -> Callable[[int, int, bytes, int], int | None] | None:
    """The C function memmem(): twice as fast as `bytes.find`, and works on a view without copying it.

    It is part of POSIX since 2024; Linux, macOS and the BSDs had it long before.
    """
    # PyDLL keeps the interpreter's lock: releasing and taking it again would take longer than most searches.
    function: Any = getattr(ctypes.PyDLL(None), "memmem", None)
    if function is not None:
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
        function.restype = ctypes.c_void_p
    found: Callable[[int, int, bytes, int], int | None] | None = function
    return found


_memmem = _find_memmem()


def find(wanted: bytes, data: bytes | memoryview) -> int:
    """Return the first position of `wanted` in `data`, or -1. A view must be of writable memory."""
    if _memmem is None or isinstance(data, bytes):
        return bytes(data).find(wanted)
    beginning = _Beginning.from_buffer(data)
    start = ctypes.addressof(beginning)
    found = _memmem(start, len(data), wanted, len(wanted))
    return -1 if found is None else found - start


def _before_delimiter(piece: bytes | memoryview, delimiter: bytes) -> int:
    """Return how many bytes come before the delimiter, or before a beginning of it at the end of the piece."""
    if (found := find(delimiter, piece)) >= 0:
        return found
    _, cr, after = bytes(piece[1 - len(delimiter) :]).rpartition(b"\r")
    beginning = cr + after
    return len(piece) - len(beginning) if cr and delimiter.startswith(beginning) else len(piece)


def _events(parser: PushMultipartParser, piece: bytes) -> Iterator[MultipartSegment | bytes | None]:
    try:
        yield from parser.parse(piece)
    except MultipartError as error:
        raise MalformedForm(_BROKEN) from error


def _end(parser: PushMultipartParser, *, has_begun: bool) -> None:
    try:
        parser.close()
    except MultipartError as error:
        if not has_begun:
            raise MalformedForm(_NO_BOUNDARY) from error
        raise IncompleteBody("The form is incomplete: its closing boundary is missing.") from error
