"""The body of a request: read once as it arrives, checked against its announced length and digests, decoded."""

import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from ..content.digests import Claims
from ..errors import IncompleteBody, LengthRequired, Locked, TooSlow, UnsupportedCoding
from .read_buffers import Buffers

# Python's allocator reuses heap memory for pieces of this size; each larger one costs a new mapping.
PIECE = 64 * 1024
GZIP = 16 + zlib.MAX_WBITS
# Time limit for a body without a file, and for the fields before the file in a form. Intake limits the file itself.
WITHOUT_FILE_SECONDS = 20.0


Piece = bytes | memoryview


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Body:
    """The body of one request. `length` is None if it is chunked."""

    def __init__(self, environ: dict[str, Any], *, idle_timeout: float, claims: Claims | None = None) -> None:
        # Not HttpRequest.read(): it treats a body without a Content-Length as empty.
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
        raise LengthRequired("Send the length of the body as Content-Length, or send it chunked.")

    def limit_time(self) -> None:
        """Refuse the body if WITHOUT_FILE_SECONDS pass before lift_time_limit() is called."""
        self._set_deadline(time.monotonic() + WITHOUT_FILE_SECONDS)

    def lift_time_limit(self) -> None:
        self._set_deadline(None)

    def _set_deadline(self, deadline: float | None) -> None:
        self._deadline = deadline
        if (set_deadline := getattr(self._stream, "set_deadline", None)) is not None:
            set_deadline(deadline)  # the server then also stops waiting for the client

    def pieces(self, speed: int = 0) -> Iterator[Piece]:
        """Iterate over the bytes as sent. Raises IncompleteBody if the body ends early.

        `speed`, in bytes a second, is that of earlier requests of the same upload. A piece stays valid until the next
        piece is requested. A piece of at least PARALLEL_SIZE bytes stays valid for one piece longer.
        """
        received = 0
        for data in self._read_into(speed) if self._can_read_into() else self._read():
            received += len(data)
            self._check_deadline()
            if self._claims.expected:
                self._claims.update(data)
            yield data
            if self._is_interrupted:
                break
        if received != self.length:
            self._refuse_interrupted()
            if self.length is not None:
                raise IncompleteBody(f"The body has {received:,} bytes, but {self.length:,} were announced.")
        self._claims.verify()

    def _check_deadline(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TooSlow(f"Everything before the file must arrive within {WITHOUT_FILE_SECONDS:.0f} s.")

    def interrupt(self) -> None:
        """Stop reading, from another thread: at once if the server exposes the socket, else after the next piece."""
        self._is_interrupted = True
        if self._socket is not None:
            with suppress(OSError):  # the connection is closed already
                self._socket.shutdown(socket.SHUT_RD)

    def _refuse_interrupted(self) -> None:
        if self._is_interrupted:
            raise Locked("Another request has taken over this upload.")

    @property
    def is_coded(self) -> bool:
        return self.coding not in {"", "identity"}

    def content(self) -> Iterator[Piece]:
        """Iterate over the bytes after decoding the Content-Encoding."""
        if not self.is_coded:
            return self.pieces()
        if self.coding in {"gzip", "x-gzip"}:
            return gunzip(self.pieces())
        raise UnsupportedCoding("Send the body with Content-Encoding: gzip, or without Content-Encoding.")

    def _can_read_into(self) -> bool:
        return self.length is not None and getattr(self._stream, "can_read_into", False)

    def _read_into(self, speed: int) -> Iterator[Piece]:
        """The fast way, if the server offers it: read what has arrived into reused buffers."""
        buffers, left = Buffers(speed), self.length or 0
        try:
            while left:
                buffer = buffers.take()[:left]
                with self._convert_errors():
                    count = self._stream.readinto(buffer)  # type: ignore[attr-defined]  # can_read_into says so
                if not count:
                    return
                buffers.filled(count)
                left -= count
                yield buffer[:count]
        finally:
            buffers.close()

    def _read(self) -> Iterator[Piece]:
        """The way that works with every WSGI server."""
        left = self.length
        while left is None or left > 0:
            with self._convert_errors():
                data = self._read_piece(left)
            if not data:
                return
            left = None if left is None else left - len(data)
            yield data

    def _read_piece(self, left: int | None) -> bytes:
        if left is None and self._deadline is not None and hasattr(self._stream, "read_some"):
            return bytes(self._stream.read_some())  # waiting for a whole piece could outlast the deadline
        return self._stream.read(PIECE if left is None else min(PIECE, left))

    @contextmanager
    def _convert_errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self._check_deadline()
            raise TooSlow("The client sent nothing for too long.") from error
        except Exception as error:
            # Each server has its own exceptions for a broken connection or an invalid chunk, and `uploads` does not
            # depend on one server. All of them mean that the rest of the body will not arrive.
            self._refuse_interrupted()
            raise IncompleteBody("The connection broke before the end of the body, or a chunk is invalid.") from error


def is_chunked(environ: dict[str, Any]) -> bool:
    """Whether the body has no length, and the server marks where it ends."""
    return bool(environ.get("HTTP_TRANSFER_ENCODING")) and bool(environ.get("wsgi.input_terminated"))


def gunzip(pieces: Iterator[Piece]) -> Iterator[bytes]:
    """Decode gzip of one or several members, one piece at a time, so that the size limit stops a gzip bomb."""
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
        raise IncompleteBody("The gzip data is incomplete.")


def _inflate(decompress: Callable[[Piece, int], bytes], data: Piece) -> bytes:
    try:
        return decompress(data, PIECE)
    except zlib.error as error:
        raise IncompleteBody("The body is not valid gzip.") from error
