"""A request's body as it comes off the wire: read once, checked against what was announced, decoded."""

import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from ..content.digests import Claims
from ..errors import IncompleteBody, LengthRequired, Locked, TooSlow, UnsupportedCoding
from .read_buffers import Buffers

# Python's allocator serves pieces of this size from the heap, again and again; larger ones are mapped anew.
PIECE = 64 * 1024
GZIP = 16 + zlib.MAX_WBITS
# For a body that brings no file, and for what comes before the file in a form: then Intake judges the pace.
WITHOUT_FILE_SECONDS = 20.0


Piece = bytes | memoryview


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Body:
    """The bytes of one request. `length` is None when the client did not say (a chunked body)."""

    def __init__(self, environ: dict[str, Any], *, idle_timeout: float, claims: Claims | None = None) -> None:
        # Not HttpRequest.read(): that takes a body without a Content-Length for an empty one.
        self._stream: Stream = environ["wsgi.input"]
        self._claims = claims or Claims()
        self.length = self._announced(environ)
        self.coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        self._socket: socket.socket | None = environ.get("gunicorn.socket")
        self._is_interrupted = False
        self._deadline: float | None = None
        if self._socket is not None:
            self._socket.settimeout(idle_timeout)

    @staticmethod
    def _announced(environ: dict[str, Any]) -> int | None:
        if is_chunked(environ):
            return None
        if length := environ.get("CONTENT_LENGTH"):
            return int(length)
        raise LengthRequired("Say how long the body is with Content-Length, or send it chunked.")

    def limit_time(self) -> None:
        """Refuse the body unless all that is read comes within WITHOUT_FILE_SECONDS, until lift_time_limit()."""
        self._set_deadline(time.monotonic() + WITHOUT_FILE_SECONDS)

    def lift_time_limit(self) -> None:
        self._set_deadline(None)

    def _set_deadline(self, deadline: float | None) -> None:
        self._deadline = deadline
        if (set_deadline := getattr(self._stream, "set_deadline", None)) is not None:
            set_deadline(deadline)  # its waits for the client end then, too

    def pieces(self, speed: int = 0) -> Iterator[Piece]:
        """The bytes as sent, whole or not at all: a body cut short ends in IncompleteBody.

        `speed` is that of the requests before, if they belong together. A piece stays as it is until the next is
        asked for; from HANDED_OVER bytes on, until the one after that.
        """
        received = 0
        for data in self._read_into(speed) if self._can_read_into() else self._read():
            received += len(data)
            self._check_deadline()
            self._claims.update(data)
            yield data
            if self._is_interrupted:
                break
        if received != self.length:
            self._refuse_interrupted()
            if self.length is not None:
                raise IncompleteBody(f"{self.length} bytes were announced and {received} came.")
        self._claims.verify()

    def _check_deadline(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TooSlow(f"The request, up to its file, must arrive within {WITHOUT_FILE_SECONDS:.0f} s.")

    def interrupt(self) -> None:
        """From another thread: end the reading, at once where the server shows its socket."""
        self._is_interrupted = True
        if self._socket is not None:
            with suppress(OSError):  # it has ended by itself
                self._socket.shutdown(socket.SHUT_RD)

    def _refuse_interrupted(self) -> None:
        if self._is_interrupted:
            raise Locked("Another request has taken this upload over.")

    @property
    def is_coded(self) -> bool:
        return self.coding not in {"", "identity"}

    def content(self) -> Iterator[Piece]:
        """The bytes that are meant: with the content coding undone."""
        if not self.is_coded:
            return self.pieces()
        if self.coding in {"gzip", "x-gzip"}:
            return gunzip(self.pieces())
        raise UnsupportedCoding("Content-Encoding may be gzip or absent.")

    def _can_read_into(self) -> bool:
        return self.length is not None and getattr(self._stream, "can_read_into", False)

    def _read_into(self, speed: int) -> Iterator[Piece]:
        """The fast way, where the server offers it: into our own buffers, as much as there is."""
        buffers, left = Buffers(speed), self.length or 0
        try:
            while left:
                buffer = buffers.take()[:left]
                with self._broken_off():
                    count = self._stream.readinto(buffer)  # type: ignore[attr-defined]  # can_read_into says so
                if not count:
                    return
                buffers.filled(count)
                left -= count
                yield buffer[:count]
        finally:
            buffers.close()

    def _read(self) -> Iterator[Piece]:
        """The way that every WSGI server knows."""
        left = self.length
        while left is None or left > 0:
            with self._broken_off():
                data = self._read_piece(left)
            if not data:
                return
            left = None if left is None else left - len(data)
            yield data

    def _read_piece(self, left: int | None) -> bytes:
        if left is None and self._deadline is not None and hasattr(self._stream, "read_some"):
            return bytes(self._stream.read_some())  # a whole piece may take longer than the deadline allows
        return self._stream.read(PIECE if left is None else min(PIECE, left))

    @contextmanager
    def _broken_off(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self._check_deadline()
            raise TooSlow("No bytes came for too long.") from error
        except Exception as error:
            # Each server has its own exceptions for a connection that broke or a chunk that cannot be read, and
            # uploads may not know which server this is. All of them mean that the body will not come.
            self._refuse_interrupted()
            raise IncompleteBody("The body broke off, or its chunks cannot be read.") from error


def is_chunked(environ: dict[str, Any]) -> bool:
    """Whether a body comes without a length, from a server that tells us where it ends."""
    return bool(environ.get("HTTP_TRANSFER_ENCODING")) and bool(environ.get("wsgi.input_terminated"))


def gunzip(pieces: Iterator[Piece]) -> Iterator[bytes]:
    """Undo gzip, of one member or several, never holding more than a piece: a bomb goes off in the limit."""
    inflater: Any = None
    for piece in pieces:
        data: Piece = piece
        while data:
            inflater = inflater or zlib.decompressobj(GZIP)
            output = _inflate(inflater.decompress, data)
            if output:
                yield output
            if inflater.eof:
                data, inflater = inflater.unused_data, None
            else:
                data = inflater.unconsumed_tail
    if inflater is not None:
        raise IncompleteBody("The gzip stream ends before its end.")


def _inflate(decompress: Callable[[Piece, int], bytes], data: Piece) -> bytes:
    try:
        return decompress(data, PIECE)
    except zlib.error as error:
        raise IncompleteBody("The body is not gzip, or is damaged.") from error
