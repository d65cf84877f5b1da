"""Close a connection so that its client gets the answer, without a thread that waits for the client's end.

An answer that was given before the whole body was read would be lost: to close while bytes still arrive resets the
connection. So the sending half is closed, and what still arrives is thrown away, for some seconds.
"""

import socket
import time
from selectors import EVENT_READ, BaseSelector

from config.web_server.gunicorn_private import close_socket

LINGER_SECONDS = 10.0
MAX_LINGERING = 256
_SWALLOW = bytearray(256 * 1024)  # what lingering connections still send goes here, and nowhere


class Lingering:
    """The connections that are closed but for what their clients still send. Bounded in number and in time."""

    def __init__(self, poller: BaseSelector) -> None:
        self._poller = poller
        self._deadlines: dict[socket.socket, float] = {}

    def close(self, client: socket.socket, *, wait: bool) -> None:
        """Close at once, or, with `wait`, when the client has closed its side or its time is over."""
        if _drain(client) and wait:
            self._wait_for(client)
        else:
            close_socket(client)

    def _wait_for(self, client: socket.socket) -> None:
        try:
            client.shutdown(socket.SHUT_WR)
        except OSError:
            close_socket(client)
            return
        while len(self._deadlines) >= MAX_LINGERING:
            self._end(next(iter(self._deadlines)))
        self._deadlines[client] = time.monotonic() + LINGER_SECONDS
        self._poller.register(client, EVENT_READ, self._on_data)

    def _on_data(self, client: socket.socket) -> None:
        # It may have been ended since the poller reported it, to make room for another.
        if client in self._deadlines and not _drain(client, once=True):
            self._end(client)

    def _end(self, client: socket.socket) -> None:
        del self._deadlines[client]
        self._poller.unregister(client)
        close_socket(client)

    def expire(self) -> None:
        now = time.monotonic()
        for client in [client for client, deadline in self._deadlines.items() if deadline < now]:
            self._end(client)


def _drain(client: socket.socket, once: bool = False) -> bool:
    """Throw away what has arrived, without waiting. False if the client has closed its side, or is gone."""
    for _ in range(1 if once else 4):
        try:
            client.setblocking(False)  # fails on one that gunicorn has closed
            if not client.recv_into(_SWALLOW):
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
