"""Send answers of known length to their clients, and stop when a client takes no more for a moment."""

import os
import socket
from contextlib import suppress
from typing import Any

from django.conf import settings

from config.web_server.gunicorn_private import FileWrapper, has_fileno
from config.web_server.socket_io import WireInput, timeval

_MOMENT = 0.01
_AT_ONCE = 64 * 1024  # the kernel takes so much without waiting


def _cork(wire: socket.socket, corked: bool) -> None:
    """While corked, only full packets go out: a quarter more bytes a second, of a file that comes page by page."""
    with suppress(AttributeError, OSError):  # not on every system, and not of every socket
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, corked)


class Outgoing:
    """An answer of known length, sent piece by piece. A slow client does not hold the thread that sends it."""

    def __init__(self, answer: Any, length: int) -> None:
        self._answer, self._length, self._left = answer, length, length
        self._pieces, self._piece = iter(answer), memoryview(b"")
        self._chunk_size = settings.UPLOADS.chunk_size or length
        self._file = None
        if isinstance(answer, FileWrapper) and has_fileno(answer.filelike):
            self._file = answer.filelike.fileno()
            self._offset = os.lseek(self._file, 0, os.SEEK_CUR)

    @property
    def sent(self) -> int:
        return self._length - self._left

    @property
    def is_long(self) -> bool:
        """Whether its client may take a while to receive it."""
        return self._left > _AT_ONCE

    def send(self, wire: socket.socket) -> bool:
        """Send until the reader takes no more for a moment. Returns whether that was all."""
        # The kernel waits for that moment: to ask it each time whether there is room cost a tenth of the speed.
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
        if self._file is not None:
            sent = os.sendfile(wire.fileno(), self._file, self._offset, min(self._left, self._chunk_size))
            self._offset += sent
            if not sent:
                raise EOFError("a file became shorter while it was sent")
            return sent
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                raise EOFError("an answer was shorter than it had announced")
            self._piece = memoryview(piece)[: self._left]
        sent = wire.send(self._piece)
        self._piece = self._piece[sent:]
        return sent

    def close(self) -> None:
        if hasattr(self._answer, "close"):
            self._answer.close()


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
