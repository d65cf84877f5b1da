"""Close a connection so that its client still receives the response. No thread waits for the client.

A response that is sent before the whole body was read could be lost: closing a socket while bytes still arrive resets
the connection. So only the sending side is closed, and the bytes that still arrive are discarded for some seconds.
"""

import socket
import time
from selectors import EVENT_READ, BaseSelector

from config.web_server.gunicorn_private import close_socket

LINGER_SECONDS = 10.0
MAX_LINGERING = 256
_DISCARDED = bytearray(256 * 1024)  # all lingering connections read into this buffer


class Lingering:
    """Half-closed connections whose clients still send. Their number and their time are limited."""

    def __init__(self, poller: BaseSelector) -> None:
        self._poller = poller
        self._deadlines: dict[socket.socket, float] = {}

    def close(self, client: socket.socket, *, wait: bool) -> None:
        """Close at once or, with `wait`, when the client has closed its side or after LINGER_SECONDS."""
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
        # It may have been closed after the poller reported it, to stay within MAX_LINGERING.
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
    """Discard the bytes that have arrived, without waiting. Returns False if the client has closed its side."""
    for _ in range(1 if once else 4):
        try:
            client.setblocking(False)  # OSError if gunicorn has closed it
            if not client.recv_into(_DISCARDED):
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
