"""Receive request heads and small bodies in the poller thread, so that slow clients occupy no other thread.

A view that does not stream its body needs all of it in memory before it can start. So the thread that polls all
connections receives such bodies, as it receives all heads, and a request gets a thread when it is complete.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from selectors import EVENT_READ, BaseSelector
from socket import socket
from typing import Any

from django.conf import settings

from config.web_server.gunicorn_private import (
    LimitRequestHeaders,
    TConn,
    create_environ,
    get_parser,
    take_expect_continue,
)
from uploads.errors import ServerBusy, TooSlow
from uploads.http import body

MAX_HEAD = 64 * 1024
BODIES_BUDGET = 64 * 1024**2  # bytes of all gathered bodies together, until their requests end
_HEAD_PIECE = 8 * 1024
_BODY_PIECE = 64 * 1024
_HEAD_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")  # gunicorn refuses a newline without a carriage return
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,19})[ \t]*\r\n", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_EXPIRE_EVERY = 0.25


@dataclass(eq=False, slots=True)
class _Request:
    deadline: float
    data: bytearray = field(default_factory=bytearray)
    began: float = 0.0  # when its first byte came
    missing: int | None = None  # bytes of its body still to come; None while its head is incomplete


class Incoming:
    """The connections whose requests are incomplete. Not thread-safe: only the poller thread uses it."""

    def __init__(
        self,
        poller: BaseSelector,
        head_seconds: float,
        *,
        reads_body_into_memory: Callable[[dict[str, Any]], bool],
        hand_over: Callable[[TConn], None],
        give_up: Callable[[TConn, Exception | None], None],
    ) -> None:
        self._poller, self._head_seconds = poller, head_seconds
        self._reads_body_into_memory = reads_body_into_memory
        self._hand_over, self._give_up = hand_over, give_up
        self._requests: dict[TConn, _Request] = {}
        self._bodies: dict[TConn, int] = {}  # bytes that each takes, also while a thread handles the request
        self._in_bodies = 0
        self._next_expiry = 0.0

    def begin(self, conn: TConn) -> None:
        """Wait for the next request on a connection."""
        conn.sent_continue = False
        conn.sock.setblocking(False)
        # One deadline for the whole head, also for a client that sends it letter by letter.
        request = self._requests[conn] = _Request(time.monotonic() + self._head_seconds)
        self._poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn))
        if read_ahead := conn.parser.unreader.take_buffered():
            self._add_to_head(conn, request, read_ahead)

    def release(self, conn: TConn) -> None:
        """Release the memory of a body when its request has ended."""
        self._in_bodies -= self._bodies.pop(conn, 0)

    def expire(self) -> None:
        now = time.monotonic()
        if now < self._next_expiry:
            return
        self._next_expiry = now + _EXPIRE_EVERY
        for conn in [conn for conn, request in self._requests.items() if request.deadline < now]:
            if self._requests[conn].missing is None:
                self._end(conn, None)
            else:
                self._end(conn, TooSlow(f"The body did not arrive within {body.WITHOUT_FILE_SECONDS:.0f} s."))

    def _on_readable(self, conn: TConn, client: socket) -> None:
        request = self._requests.get(conn)
        if request is None:  # ended after the poller reported it, to stay within the budget
            return
        try:
            data = client.recv(_HEAD_PIECE if request.missing is None else min(request.missing, _BODY_PIECE))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the client has closed, or an error, which the thread meets again and handles
            self._hand_to_thread(conn)
        elif request.missing is None:
            self._add_to_head(conn, request, data)
        else:
            self._add_to_body(conn, request, data)

    def _add_to_head(self, conn: TConn, request: _Request, data: bytes) -> None:
        request.began = request.began or time.monotonic()
        searched = max(0, len(request.data) - 3)
        request.data += data
        if end := _HEAD_END.search(request.data, searched):
            self._on_head(conn, request, end.end())
        elif len(request.data) > MAX_HEAD:
            self._end(conn, LimitRequestHeaders("The request head is too large."))

    def _on_head(self, conn: TConn, request: _Request, size: int) -> None:
        head = bytes(request.data[:size])
        found = _CONTENT_LENGTH.search(head)
        length = int(found[1]) if found else 0
        missing = length - (len(request.data) - size)
        # The application refuses unread a body that is too large, and a chunked one, as it has no length.
        if missing > 0 and length <= (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) and self._is_gathered(conn, head):
            request.missing, request.deadline = missing, request.began + body.WITHOUT_FILE_SECONDS
            self._count(conn, len(request.data) - size)
        else:
            self._hand_to_thread(conn)

    def _is_gathered(self, conn: TConn, head: bytes) -> bool:
        """Whether to gather the body of this request. If so, send "100 Continue" to a client that waits for it."""
        try:
            parsed = next(get_parser(conn.cfg, iter([head]), conn.client))
            conn.sent_continue = take_expect_continue(parsed)
            _, environ = create_environ(parsed, conn.sock, conn.client, conn.server, conn.cfg)
            if not self._reads_body_into_memory(environ):
                conn.sent_continue = False
                return False
            if conn.sent_continue:
                conn.sock.send(_CONTINUE)
        except Exception:
            # The thread meets the same error again and handles it. Here it would end the service for all connections.
            conn.sent_continue = False
            return False
        return True

    def _add_to_body(self, conn: TConn, request: _Request, data: bytes) -> None:
        assert request.missing is not None
        request.data += data
        request.missing -= len(data)
        if not request.missing:
            self._hand_to_thread(conn)
        self._count(conn, len(data))

    def _count(self, conn: TConn, received: int) -> None:
        """Count received bytes. Over the budget, end the largest incomplete body, and so never a small login form."""
        self._bodies[conn] = self._bodies.get(conn, 0) + received
        self._in_bodies += received
        while self._in_bodies > BODIES_BUDGET:
            unfinished = self._bodies.keys() & self._requests.keys()
            if not unfinished:  # threads handle all of them, and the number of threads is limited
                return
            largest = max(unfinished, key=self._bodies.__getitem__)
            self._end(
                largest,
                ServerBusy("The server is receiving too many requests. Try again in a few seconds.", retry_after=5),
            )

    def _hand_to_thread(self, conn: TConn) -> None:
        conn.parser.unreader.unread(bytes(self._forget(conn).data))
        self._hand_over(conn)

    def _end(self, conn: TConn, reason: Exception | None) -> None:
        self._forget(conn)
        self.release(conn)
        self._give_up(conn, reason)

    def _forget(self, conn: TConn) -> _Request:
        self._poller.unregister(conn.sock)
        return self._requests.pop(conn)
