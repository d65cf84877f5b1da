"""Read request bodies from a client's socket into the application's buffers, with limits for stalled clients."""

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

from config.web_server.gunicorn_private import Body, LengthReader

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FULL_WINDOW = 32 * 1024  # with this many bytes unread, TCP may keep a client from sending more
_GRACE = 1.0  # seconds for a client that was kept from sending until we began to read
_SHORTEST_WAIT = 0.001  # seconds; a timeout of 0 would mean not to wait, or to wait for ever
# The first bytes are passed on as they arrive, because the reader may refuse the file by its beginning. After that, a
# read waits up to _GATHERING_TIME for a full buffer, so that a client that sends slowly causes few reads.
_BEGINNING = 64 * 1024
_GATHERING_TIME = 2.0
_LAST_DATA_RECEIVED = struct.Struct("52xI")  # tcpi_last_data_recv of Linux, in milliseconds


def silence(wire: socket.socket) -> float:
    """Seconds since the last data from the client; 0 where the system does not tell."""
    try:
        (found,) = _LAST_DATA_RECEIVED.unpack(
            wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.size)
        )
    except (AttributeError, OSError, struct.error):
        return 0.0
    return float(found / 1000)


def _unread_bytes(wire: socket.socket) -> int:
    """How many received bytes are in the kernel's buffer."""
    return int(struct.unpack("i", fcntl.ioctl(wire, termios.FIONREAD, bytes(4)))[0])


def wait_in_kernel(wire: socket.socket, seconds: float) -> None:
    """Let the kernel limit how long a read waits. With Python's timeout, each read would begin with a call of poll().

    Each call releases the interpreter lock, and with a thousand slow clients their threads queue to get it back.
    """
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(seconds))
    wire.settimeout(None)


def timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))


class _UntilDeadline:
    """A socket whose reads all end at one deadline. gunicorn reads a chunked body by many small reads."""

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline
        self.gettimeout, self.settimeout = wire.gettimeout, wire.settimeout

    def recv(self, size: int) -> bytes:
        usual, left = self._wire.gettimeout(), self._deadline - time.monotonic()
        self._wire.settimeout(max(left if usual is None else min(usual, left), _SHORTEST_WAIT))
        try:
            return self._wire.recv(size)
        finally:
            self._wire.settimeout(usual)


class WireInput:
    """`wsgi.input` with `readinto`: bytes go from the socket into the reader's own buffer and are copied once.

    A wait for the client ends after the idle timeout. The time that the client was silent before the request got its
    thread is subtracted from the first wait. Otherwise each silent client could occupy a thread for the whole
    timeout.
    """

    def __init__(
        self,
        body: Body,
        wire: socket.socket,
        expects_continue: bool,
        idle_timeout: float,
        unreader: Any = None,
        on_wait: Callable[[], None] = lambda: None,  # called once, before the first wait for the client
    ) -> None:
        self._body, self._wire, self._expects_continue = body, wire, expects_continue
        self._unreader, self._on_wait, self._deadline = unreader, on_wait, float("inf")
        self._idle_timeout, self._moment = idle_timeout, min(_GATHERING_TIME, idle_timeout / 2)
        # Bytes that arrived before the first wait. Reading them does not show that the client still sends.
        self._stale: int | None = None
        self._has_begun, self._shortest = False, _SHORTEST_WAIT
        self._received = 0
        self.taken = 0  # bytes of the body that were read
        self._broken: Exception | None = None
        self.read = self._first(self._read)
        self.read_some = self._first(self._read_some)
        self.readline = self._first(body.readline)
        self.readlines = self._first(body.readlines)

    def set_deadline(self, deadline: float | None) -> None:
        """Set the time.monotonic() at which every wait for the client ends; None for no deadline."""
        self._deadline = float("inf") if deadline is None else deadline
        if self._unreader is not None:
            self._unreader.sock = self._wire if deadline is None else _UntilDeadline(self._wire, deadline)
        if self._stale is not None:
            self._limit_first_wait()

    def _first(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*args: Any) -> Any:
            self._begin()
            data = read(*args)
            self.taken += len(data)
            self._is_alive()
            return data

        return reading

    def _read(self, *args: Any) -> bytes:
        # Fixes gunicorn: when a chunked body broke off, up to one piece that had arrived before was lost.
        if self._broken is not None:
            raise self._broken
        try:
            data: bytes = self._body.read(*args)
        except Exception as error:
            rest = getattr(self._body.reader, "buf", None)
            data = self._body.buf.getvalue() + (rest.getvalue() if rest else b"")
            if not data:
                raise
            self._broken = error
        return data

    def _read_some(self) -> bytes:
        """The next bytes of a chunked body, as soon as there are any; empty at its end."""
        reader = self._body.reader
        for holder in (self._body, reader):
            if buffered := holder.buf.tell():
                return bytes(holder.read(buffered))
        while reader.parser is not None:
            data = next(reader.parser, None)
            if data:
                return bytes(data)
            if data is None:
                reader.parser = None
        return b""

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    @property
    def can_read_into(self) -> bool:
        return isinstance(self._body.reader, LengthReader)

    def readinto(self, buffer: memoryview) -> int:
        """Read up to `len(buffer)` bytes of a body of known length: fewer if the client is slow, 0 at its end."""
        self._begin()
        reader = self._body.reader
        # Bytes that gunicorn read together with the headers come first. Ask for no more than there are: these methods
        # would wait for more, and buffer up to a megabyte.
        if buffered := self._body.buf.tell():
            data = self._body.read(min(buffered, len(buffer)))
        elif buffered := reader.unreader.buf.tell():
            data = reader.read(min(buffered, len(buffer)))
        else:
            wanted = min(len(buffer), reader.length)
            received = self._receive_into(buffer, wanted) if wanted else 0
            reader.length -= received
            self.taken += received
            self._is_alive(received)
            return received
        buffer[: len(data)] = data
        self.taken += len(data)
        return len(data)

    def _receive_into(self, buffer: memoryview, wanted: int) -> int:
        # Each read needs the interpreter lock once more. With a thousand slow clients, reading each small piece by
        # itself would delay all requests. With MSG_WAITALL the kernel gathers the pieces.
        gather = socket.MSG_WAITALL if self._received >= _BEGINNING else 0
        try:
            received = self._wire.recv_into(buffer, wanted, gather)
        except BlockingIOError:  # the kernel's timeout: nothing came for a moment
            received = self._wait_longer(buffer, wanted)
        self._received += received
        return received

    def _wait_longer(self, buffer: memoryview, wanted: int) -> int:
        """Wait for the rest of the idle timeout."""
        left = max(min(self._idle_timeout - self._moment, self._deadline - time.monotonic()), _SHORTEST_WAIT)
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(left))
        try:
            return self._wire.recv_into(buffer, wanted)
        except BlockingIOError as error:
            raise TimeoutError("The client sent nothing within the idle timeout.") from error
        finally:
            self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(self._moment))

    @property
    def is_unread(self) -> bool:
        reader = self._body.reader
        if isinstance(reader, LengthReader):
            return bool(reader.length or self._body.buf.tell())
        return getattr(reader, "parser", None) is not None

    def _begin(self) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        reader = self._body.reader
        if not (isinstance(reader, LengthReader) and reader.length <= reader.unreader.buf.tell()):
            self._on_wait()
        self._stale = _unread_bytes(self._wire)
        self._shortest = min(_GRACE, self._idle_timeout / 10)
        if self._expects_continue:
            # Fixes gunicorn, which sends this before the application has seen the request, and so asks for bodies
            # that are then refused.
            self._wire.sendall(_CONTINUE)
        elif self._stale < _FULL_WINDOW:
            self._shortest = _SHORTEST_WAIT  # it could have sent
        self._limit_first_wait()

    def _limit_first_wait(self) -> None:
        left = min(self._idle_timeout - silence(self._wire), self._deadline - time.monotonic())
        self._wire.settimeout(max(left, self._shortest))

    def _is_alive(self, received: int | None = None) -> None:
        """The client still sends: from now on each wait may last the idle timeout. `received` is None if unknown."""
        if self._stale is None:
            return
        self._stale = -1 if received is None else self._stale - received
        if self._stale < 0:
            self._stale = None
            if received is None:
                self._wire.settimeout(self._idle_timeout)
            else:
                wait_in_kernel(self._wire, self._moment)
