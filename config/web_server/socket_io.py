"""What goes from a client's socket to the application: bodies, and how long they may stall."""

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

from config.web_server.gunicorn_private import Body, LengthReader

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WINDOW = 32 * 1024  # with so much unread, a client may be unable to send, as far as it knows
_BREATH = 1.0
_SHORTEST = 0.001  # of waits: 0 would mean something else
# So many bytes are taken as they come: whoever reads may refuse what begins so. Of a client that trickles, what comes
# later within _GATHERED seconds is taken at once.
_BEGINNING = 64 * 1024
_GATHERED = 2.0
_LAST_DATA_RECEIVED = struct.Struct("52xI")  # of Linux' struct tcp_info, in milliseconds


def silence(wire: socket.socket) -> float:
    """Seconds since anything came from the client; 0 where the system does not say."""
    try:
        (found,) = _LAST_DATA_RECEIVED.unpack(
            wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.size)
        )
    except (AttributeError, OSError, struct.error):
        return 0.0
    return float(found / 1000)


def _held(wire: socket.socket) -> int:
    """How many bytes have come that nobody has read."""
    return int(struct.unpack("i", fcntl.ioctl(wire, termios.FIONREAD, bytes(4)))[0])


def wait_in_kernel(wire: socket.socket, seconds: float) -> None:
    """Let the system end waits for a client. With Python's timeout, each would begin with a call more, poll().

    Each call gives the interpreter's lock away, and a thousand threads that trickle queue to have it back.
    """
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(seconds))
    wire.settimeout(None)


def timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))


class _UntilDeadline:
    """A socket for gunicorn, which reads a chunked body in many small steps: all of them end at one time."""

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline
        self.gettimeout, self.settimeout = wire.gettimeout, wire.settimeout

    def recv(self, size: int) -> bytes:
        usual, left = self._wire.gettimeout(), self._deadline - time.monotonic()
        self._wire.settimeout(max(left if usual is None else min(usual, left), _SHORTEST))
        try:
            return self._wire.recv(size)
        finally:
            self._wire.settimeout(usual)


class WireInput:
    """`wsgi.input`, with `readinto`: bytes go from the socket to the reader's own buffer, and are copied once.

    A wait for the client ends after the idle timeout. What the client was silent for before counts for the first,
    or those who waited for a thread would be waited for once more, on that thread, one after another.
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
        self._idle_timeout, self._moment = idle_timeout, min(_GATHERED, idle_timeout / 2)
        self._stale: int | None = None  # so many bytes came before the first wait, and are no sign of life
        self._has_begun, self._least = False, _SHORTEST
        self._received = 0
        self.taken = 0  # bytes of the body that were read
        self._broken: Exception | None = None
        self.read = self._first(self._read)
        self.read_some = self._first(self._read_some)
        self.readline = self._first(body.readline)
        self.readlines = self._first(body.readlines)

    def set_deadline(self, deadline: float | None) -> None:
        """When every wait for the client ends, on the clock of time.monotonic(); None for never."""
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
        # Mends: of a chunked body that broke off, up to a whole piece was lost that had come before.
        if self._broken is not None:
            raise self._broken
        try:
            data: bytes = self._body.read(*args)
        except Exception as error:
            held = getattr(self._body.reader, "buf", None)
            data = self._body.buf.getvalue() + (held.getvalue() if held else b"")
            if not data:
                raise
            self._broken = error
        return data

    def _read_some(self) -> bytes:
        """What comes next of a chunked body, without waiting for more of it; nothing at its end."""
        reader = self._body.reader
        for holder in (self._body, reader):
            if held := holder.buf.tell():
                return bytes(holder.read(held))
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
        """Up to `len(buffer)` bytes of a body of known length, without waiting long for all of them; 0 at its end."""
        self._begin()
        reader = self._body.reader
        # What the server read along with the headers. Never more of it than there is: both would wait for more,
        # and hold up to a megabyte of it.
        if held := self._body.buf.tell():
            data = self._body.read(min(held, len(buffer)))
        elif held := reader.unreader.buf.tell():
            data = reader.read(min(held, len(buffer)))
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
        # A thread that takes each small piece by itself asks for the interpreter's lock each time, and a thousand of
        # them hold up everybody. The kernel gathers them without it.
        gather = socket.MSG_WAITALL if self._received >= _BEGINNING else 0
        try:
            received = self._wire.recv_into(buffer, wanted, gather)
        except BlockingIOError:  # so the kernel says that nothing came for a moment
            received = self._wait_on(buffer, wanted)
        self._received += received
        return received

    def _wait_on(self, buffer: memoryview, wanted: int) -> int:
        """For what is left of the idle timeout."""
        left = max(min(self._idle_timeout - self._moment, self._deadline - time.monotonic()), _SHORTEST)
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(left))
        try:
            return self._wire.recv_into(buffer, wanted)
        except BlockingIOError as error:
            raise TimeoutError("nothing came for too long") from error
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
        self._stale = _held(self._wire)
        self._least = min(_BREATH, self._idle_timeout / 10)
        if self._expects_continue:
            # Mends: gunicorn sends this before the application has looked at the request, and so asks for the
            # body of one that will be refused.
            self._wire.sendall(_CONTINUE)
        elif self._stale < _WINDOW:
            self._least = _SHORTEST  # it did not wait for us
        self._limit_first_wait()

    def _limit_first_wait(self) -> None:
        left = min(self._idle_timeout - silence(self._wire), self._deadline - time.monotonic())
        self._wire.settimeout(max(left, self._least))

    def _is_alive(self, received: int | None = None) -> None:
        """Something came, of so many bytes if that is known: the next waits are counted each for itself."""
        if self._stale is None:
            return
        self._stale = -1 if received is None else self._stale - received
        if self._stale < 0:
            self._stale = None
            if received is None:
                self._wire.settimeout(self._idle_timeout)
            else:
                wait_in_kernel(self._wire, self._moment)
