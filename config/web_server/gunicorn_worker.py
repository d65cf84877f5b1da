"""gunicorn's thread worker, with what large, slow and hostile clients need. Each mend says what it mends.

Threads are for requests that move. A connection that has not said yet what it wants, whose reader has stopped, or
whose answer has been given, waits in the poller instead, where it costs a descriptor.
"""

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_WRITE
from typing import Any

from django.conf import settings

from config.web_server.connection_limits import ConnectionLimits
from config.web_server.gunicorn_private import (
    Body,
    TConn,
    ThreadWorker,
    close_socket,
    response_of,
    sends_no_body,
    take_expect_continue,
)
from config.web_server.lingering_close import Lingering
from config.web_server.request_gathering import Incoming
from config.web_server.request_turns import COUNTS_FOR, Turns
from config.web_server.response_sending import Exchange, Outgoing
from config.web_server.socket_io import WireInput, timeval
from config.wsgi_environ import EXCHANGE, KNOWS_CLIENT
from uploads.errors import Refusal
from uploads.runtime import database_connections

_ACCEPTED_AT_ONCE = 32
_UNSENT = object()
_UNKNOWN_CLIENT = {"401", "403"}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving = threading.local()
        self._reading: dict[TConn, float] = {}
        # A client that stops is no error of ours, and its trace tells nothing.
        self.log.error_log.addFilter(_is_not_idleness)

    def load_wsgi(self) -> None:
        super().load_wsgi()
        # These need Django's apps, which gunicorn's main process does not load.
        from config.http.error_responses import as_http
        from config.http.middleware import reads_body_into_memory

        self._as_http: Callable[[Refusal], bytes] = as_http
        # gunicorn makes the poller just before it calls this.
        self._lingering = Lingering(self.poller)
        self._limits = ConnectionLimits(
            self.worker_connections, settings.CONNECTIONS_PER_ADDRESS, settings.TRUSTED_PROXIES
        )
        self._turns = Turns(super().enqueue_req)
        database_connections.when_waiting = self._end_turn
        self._incoming = Incoming(
            self.poller,
            min(self.cfg.keepalive, settings.UPLOADS.idle_timeout),
            reads_body_into_memory=reads_body_into_memory,
            hand_over=self._turns.begin,
            give_up=self._give_up,
        )
        application: Any = self.wsgi
        self.wsgi: Any = partial(self._exchange, application)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            # Mends: the kernel went on to accept connections, which nobody served, until the end of a stop.
            for listener in self.sockets:
                listener.close()

    def accept(self, listener: socket.socket) -> None:
        # Mends: one was accepted each time round, behind all else that the poller had to do.
        for _ in range(_ACCEPTED_AT_ONCE):
            if self.nr_conns >= self.worker_connections:
                return
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    raise
                return
            if (origin := self._limits.admit(client, address)) is not None:
                self._begin(TConn(self.cfg, client, address, listener.getsockname()), origin)

    def _begin(self, conn: TConn, origin: str) -> None:
        self.nr_conns += 1
        conn.close = partial(self._close, conn)
        conn.origin = origin
        try:
            conn.init()
            self.enqueue_req(conn)
        except OSError:  # it is gone already
            self._drop(conn)

    def enqueue_req(self, conn: TConn) -> None:
        # Mends: a thread would wait for what the client has not said yet, up to five seconds for its first byte,
        # and for ever for the rest of its head.
        self._set_idle_timeout(conn.sock)  # again for each request: the one before has waited in its own ways
        conn.outgoing = None
        self._incoming.begin(conn)

    def _give_up(self, conn: TConn, reason: Exception | None) -> None:
        """Answer a request that is not whole, and will not be."""
        if isinstance(reason, Refusal):
            with suppress(OSError):
                conn.sock.send(self._as_http(reason))
        elif reason is not None:
            self.handle_error(None, conn.sock, conn.client, reason)
        self._drop(conn)

    def _drop(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close(graceful=True)

    @staticmethod
    def _set_idle_timeout(wire: socket.socket) -> None:
        # Mends: an answer without a length that nobody takes held a thread for ever, and so does whatever else waits
        # in one. The kernel's own timeouts, as gunicorn puts its sockets back to blocking.
        value = timeval(settings.UPLOADS.idle_timeout)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def handle(self, conn: TConn) -> Any:
        conn.keeps = super().handle(conn)
        if conn.outgoing is None:
            return conn.keeps
        if conn.outgoing.is_long:
            self._end_turn_of(conn)
        return self._send(conn)

    def _send(self, conn: TConn) -> Any:
        """Send what the reader takes; whether the connection goes on, or _UNSENT.

        Mends: a reader who stopped held a thread, and those who waited for one stopped on it in turn.
        """
        try:
            if not conn.outgoing.send(conn.sock):
                # The request may end on another thread, which would not close this one's.
                database_connections.let_go()
                return _UNSENT
        except Exception:
            self.log.exception("An answer broke off.")
            conn.keeps = False
        conn.outgoing.close()
        return conn.keeps

    def finish_request(self, conn: TConn, done: "Future[Any]") -> None:
        self._turns.end(conn)
        self._incoming.release(conn)
        if done.cancelled() or done.exception() or done.result() is not _UNSENT:
            super().finish_request(conn, done)
        else:
            self._reading[conn] = time.monotonic() + settings.UPLOADS.idle_timeout
            self.poller.register(conn.sock, EVENT_WRITE, partial(self._on_room, conn))

    def _on_room(self, conn: TConn, wire: socket.socket) -> None:
        self.poller.unregister(wire)
        del self._reading[conn]
        sending = self.tpool.submit(self._send, conn)
        sending.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _give_up_reader(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        del self._reading[conn]
        self.nr_conns -= 1
        conn.outgoing.close()
        conn.close()

    def handle_request(self, req: Any, conn: TConn) -> Any:
        conn.linger, conn.expects_continue = False, take_expect_continue(req) and not conn.sent_continue
        self._serving.conn = conn
        try:
            return super().handle_request(req, conn)
        finally:
            self._serving.conn = None

    def _exchange(self, application: Any, environ: dict[str, Any], start_response: Any) -> Any:
        conn, body = getattr(self._serving, "conn", None), environ["wsgi.input"]
        if conn is None or not isinstance(body, Body):  # HTTP/2 has its own ways
            return application(environ, start_response)
        idle_timeout, unreader = settings.UPLOADS.idle_timeout, conn.parser.unreader
        wire = WireInput(body, conn.sock, conn.expects_continue, idle_timeout, unreader, self._end_turn)
        response = response_of(start_response)
        exchange = Exchange(wire, response)
        environ = environ | {"wsgi.input": wire, EXCHANGE: exchange}

        def starting(status: str, *args: Any) -> Any:
            # Mends: gunicorn drops an application's `Connection: close`, and would read, for up to five seconds,
            # the rest of a body that nobody wants.
            if wire.is_unread:
                response.force_close()
                conn.linger = status[:3] not in _UNKNOWN_CLIENT and environ.get(KNOWS_CLIENT, bool)()
            return start_response(status, *args)

        answer = application(environ, starting)
        if response.response_length is None or response.headers_sent or sends_no_body(response):
            return answer
        response.send_headers()
        conn.outgoing = exchange.outgoing = Outgoing(answer, response.response_length)
        return ()

    def _end_turn(self) -> None:
        """From the thread of a request, which is going to wait: others of its address may begin."""
        if (conn := getattr(self._serving, "conn", None)) is not None:
            self._end_turn_of(conn)

    def _end_turn_of(self, conn: TConn) -> None:
        if conn.has_turn:
            conn.has_turn = False
            self.method_queue.defer(self._turns.end, conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, COUNTS_FOR / 2) if self._turns.are_waited_for else timeout)

    def _close(self, conn: TConn, graceful: bool = False) -> None:
        """Close, so that an answer arrives which was given before the whole body was sent.

        Mends: gunicorn waits for the client's end in the thread that accepts connections, two seconds for each.
        """
        origin, conn.origin = conn.origin, ""  # once, as gunicorn may close twice
        if origin:
            self._limits.release(origin)
        if graceful:
            self._lingering.close(conn.sock, wait=getattr(conn, "linger", False))
        else:
            close_socket(conn.sock)

    def murder_pending(self) -> None:
        self._turns.expire()
        self._incoming.expire()
        self._lingering.expire()
        now = time.monotonic()
        for conn in [conn for conn, deadline in self._reading.items() if deadline < now]:
            self._give_up_reader(conn)


def _is_not_idleness(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TimeoutError | BlockingIOError | ConnectionError)
