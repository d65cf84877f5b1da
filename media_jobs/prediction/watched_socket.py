"""A connection whose every wait is short: it asks four times a second whether to stop, and has a deadline.

The socket never blocks. http.client uses it in place of one that does: its own calls could not be interrupted.
"""

import errno
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from .addresses import TICK

CONNECT_TIMEOUT = 10.0  # seconds, for each address
STALL_TIMEOUT = 60.0  # seconds in which the other side must take a byte
_TICK = round(TICK * 1000)


class Stalled(TimeoutError):
    """The other side takes nothing of what is sent."""


class WatchedSocket:
    def __init__(self, sock: socket.socket, check: Callable[[], None], deadline: float) -> None:
        self._socket, self.check, self.deadline = sock, check, deadline

    def sendall(self, data: Any) -> None:
        left = memoryview(data).cast("B")
        while left:
            self._look()
            try:
                left = left[self._socket.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT, STALL_TIMEOUT)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, STALL_TIMEOUT)

    def recv_into(self, buffer: Any) -> int:
        while True:
            self._look()
            try:
                return self._socket.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        """Nothing: http.client calls it while it still reads. `connected` closes the socket."""

    def encrypt(self, tls: ssl.SSLContext, host: str) -> None:
        encrypted = tls.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket = encrypted
        while True:
            try:
                encrypted.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, CONNECT_TIMEOUT)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, CONNECT_TIMEOUT)
            else:
                return

    def connect(self, address: str, port: int) -> None:
        code = self._socket.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            self._wait(select.POLLOUT, CONNECT_TIMEOUT)
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def end(self) -> None:
        self._socket.close()

    def _look(self) -> None:
        """Stop if need be, also where there is nothing to wait for: the other side may send bytes without end."""
        self.check()
        if time.monotonic() >= self.deadline:
            raise TimeoutError

    def _wait(self, event: int, limit: float | None = None) -> None:
        """Wait until the socket is ready. Raises what `check` raises, TimeoutError, or Stalled after the limit."""
        until = self.deadline if limit is None else min(self.deadline, time.monotonic() + limit)
        poll = select.poll()
        poll.register(self._socket, event)
        while True:
            self._look()
            if poll.poll(_TICK):
                return
            if time.monotonic() >= until:
                raise TimeoutError if until == self.deadline else Stalled


class _Received(io.RawIOBase):
    def __init__(self, source: WatchedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.recv_into(buffer)


@contextmanager
def connected(
    addresses: Sequence[str], port: int, check: Callable[[], None], deadline: float
) -> Iterator[WatchedSocket]:
    """A connection to the first of these addresses that accepts one. It is closed at the end."""
    sock = _connect(addresses, port, check, deadline)
    try:
        yield sock
    finally:
        sock.end()


def _connect(addresses: Sequence[str], port: int, check: Callable[[], None], deadline: float) -> WatchedSocket:
    failure = OSError()
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        plain = socket.socket(family, socket.SOCK_STREAM)
        sock = WatchedSocket(plain, check, deadline)
        try:
            plain.setblocking(False)
            with suppress(OSError):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address, port)
        except OSError as error:
            failure = error
            sock.end()
        except BaseException:
            sock.end()
            raise
        else:
            return sock
    raise failure
