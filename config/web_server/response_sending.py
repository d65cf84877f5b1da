"""Send responses of known length. Sending stops when the client accepts no more bytes for a moment."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.conf import settings

from config.web_server.gunicorn_private import FileWrapper, has_fileno
from config.web_server.socket_io import WireInput, timeval
from uploads.http.composed_response import ComposedResponse, FileRange

_MOMENT = 0.01  # seconds
_AT_ONCE = 64 * 1024  # bytes that the kernel accepts without waiting for the client


def _cork(wire: socket.socket, corked: bool) -> None:
    """While a socket is corked, only full packets are sent. That made sendfile 25 % faster."""
    with suppress(AttributeError, OSError):  # other systems and other kinds of sockets do not have it
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, corked)


class Outgoing:
    """A response of known length, sent piece by piece, so that a slow client does not occupy a thread."""

    def __init__(self, body: Any, length: int) -> None:
        self._body, self._length, self._left = body, length, length
        self._pieces, self._piece = _pieces_of(body, length), memoryview(b"")
        self._range: FileRange | None = None  # what sendfile() sends of it, until it is empty
        self._chunk_size = settings.UPLOADS.chunk_size or length

    @property
    def sent(self) -> int:
        return self._length - self._left

    @property
    def is_long(self) -> bool:
        """Whether sending the rest may have to wait for the client."""
        return self._left > _AT_ONCE

    def send(self, wire: socket.socket) -> bool:
        """Send until the client accepts no more for a moment. Returns whether everything was sent."""
        # The kernel limits this wait. A call of poll() before each send cost a tenth of the speed.
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(_MOMENT))
        wire.settimeout(None)
        _cork(wire, True)
        while self._left:
            try:
                self._left -= self._send(wire)
            except BlockingIOError:
                return False
        _cork(wire, False)
        return True

    def _send(self, wire: socket.socket) -> int:
        while not self._piece and self._range is None:
            piece = next(self._pieces, None)
            if piece is None:
                raise EOFError("The response is shorter than its Content-Length.")
            if isinstance(piece, FileRange):
                self._range = piece
            else:
                self._piece = memoryview(piece)[: self._left]
        return self._send_range(wire, self._range) if self._range is not None else self._send_piece(wire)

    def _send_range(self, wire: socket.socket, part: FileRange) -> int:
        most = min(self._left, part.end - part.start, self._chunk_size)
        sent = os.sendfile(wire.fileno(), part.fileno, part.start, most)
        if not sent:
            raise EOFError("The file became shorter while it was sent.")
        at = part.start + sent
        self._range = replace(part, start=at) if at < part.end else None
        return sent

    def _send_piece(self, wire: socket.socket) -> int:
        sent = wire.send(self._piece)
        self._piece = self._piece[sent:]
        return sent

    def close(self) -> None:
        if hasattr(self._body, "close"):
            self._body.close()


def _pieces_of(body: Any, length: int) -> Iterator[bytes | FileRange]:
    if isinstance(body, ComposedResponse):
        return body.pieces()
    if isinstance(body, FileWrapper) and has_fileno(body.filelike):
        number = body.filelike.fileno()
        begin = os.lseek(number, 0, os.SEEK_CUR)
        return iter([FileRange(number, begin, begin + length)])
    return iter(body)


class Exchange:
    """How many bytes of a request and of its response have passed so far, for the request log."""

    def __init__(self, body: WireInput, response: Any) -> None:
        self._body, self._response = body, response
        self.outgoing: Outgoing | None = None  # None: gunicorn itself sends the response

    @property
    def received(self) -> int:
        """Bytes of the request's body that the application has read."""
        return self._body.taken

    @property
    def sent(self) -> int:
        """Bytes of the response's body that the client's system or its proxy has accepted."""
        if self.outgoing is not None:
            return self.outgoing.sent
        return int(self._response.sent)
