"""Gather requests without a thread: their heads, and small bodies.

A body that no view streams is read into memory before anything is done with it. So the thread that polls all
connections can wait for it, as it does for heads: slow senders then hold no other thread, however many they are.
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
BODIES_BUDGET = 64 * 1024**2  # for all bodies together, until their requests end
_HEAD_PIECE = 8 * 1024
_BODY_PIECE = 64 * 1024
_HEAD_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")  # a bare newline is refused as soon as it is parsed
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,19})[ \t]*\r\n", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_EXPIRE_EVERY = 0.25


@dataclass(eq=False, slots=True)
class _Request:
    deadline: float
    data: bytearray = field(default_factory=bytearray)
    began: float = 0.0  # when its first byte came
    missing: int | None = None  # bytes of its body; None while its head is not whole


class Incoming:
    """The connections whose requests are not whole. Used by the thread that polls, and by no other."""

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
        self._bodies: dict[TConn, int] = {}  # the bytes that each holds, also of those that a thread works on
        self._in_bodies = 0
        self._next_expiry = 0.0

    def begin(self, conn: TConn) -> None:
        """Wait for the next request on a connection."""
        conn.sent_continue = False
        conn.sock.setblocking(False)
        # For the whole head: who sends a letter now and then is not waited for longer than who sends none.
        request = self._requests[conn] = _Request(time.monotonic() + self._head_seconds)
        self._poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn))
        if read_ahead := conn.parser.unreader.take_buffered():
            self._add_to_head(conn, request, read_ahead)

    def release(self, conn: TConn) -> None:
        """The request has ended, and its body with it."""
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
        if request is None:  # ended since the poller reported it, to make room for another
            return
        try:
            data = client.recv(_HEAD_PIECE if request.missing is None else min(request.missing, _BODY_PIECE))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the end, or an error, that the thread will come upon again
            self._to_a_thread(conn)
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
            self._end(conn, LimitRequestHeaders("The head is too large."))

    def _on_head(self, conn: TConn, request: _Request, size: int) -> None:
        head = bytes(request.data[:size])
        found = _CONTENT_LENGTH.search(head)
        length = int(found[1]) if found else 0
        missing = length - (len(request.data) - size)
        # A body that is too large is refused by its length, and a chunked one for the want of it: both unread.
        if missing > 0 and length <= (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) and self._is_for_memory(conn, head):
            request.missing, request.deadline = missing, request.began + body.WITHOUT_FILE_SECONDS
            self._count(conn, len(request.data) - size)
        else:
            self._to_a_thread(conn)

    def _is_for_memory(self, conn: TConn, head: bytes) -> bool:
        """Whether to gather the body of this request. If so, and its client waits to be asked for it, ask."""
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
            # Whatever it is, the thread will come upon it again. Here it would end the service for all connections.
            conn.sent_continue = False
            return False
        return True

    def _add_to_body(self, conn: TConn, request: _Request, data: bytes) -> None:
        assert request.missing is not None
        request.data += data
        request.missing -= len(data)
        if not request.missing:
            self._to_a_thread(conn)
        self._count(conn, len(data))

    def _count(self, conn: TConn, received: int) -> None:
        """Keep to the budget. The largest unfinished body makes room: a login is never refused for other people's."""
        self._bodies[conn] = self._bodies.get(conn, 0) + received
        self._in_bodies += received
        while self._in_bodies > BODIES_BUDGET:
            unfinished = self._bodies.keys() & self._requests.keys()
            if not unfinished:  # threads have all of them, and their number is limited
                return
            largest = max(unfinished, key=self._bodies.__getitem__)
            self._end(largest, ServerBusy("Too many requests are being received. Try again soon.", retry_after=5))

    def _to_a_thread(self, conn: TConn) -> None:
        conn.parser.unreader.unread(bytes(self._forget(conn).data))
        self._hand_over(conn)

    def _end(self, conn: TConn, reason: Exception | None) -> None:
        self._forget(conn)
        self.release(conn)
        self._give_up(conn, reason)

    def _forget(self, conn: TConn) -> _Request:
        self._poller.unregister(conn.sock)
        return self._requests.pop(conn)
