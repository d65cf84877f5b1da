"""gunicorn's thread worker, changed to serve large, slow and hostile clients.

Only a request that makes progress has a thread. A connection whose request is incomplete, whose client does not read
the response, or which is being closed, waits in the poller instead, where it costs a file descriptor. Comments that
begin with "Fixes gunicorn" say what each change is for.
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

from config.web_server.accept_balance import Balance
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
_UNSENT = object()  # result of a request whose response is not completely sent
_UNKNOWN_CLIENT = {"401", "403"}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving = threading.local()
        self._unsent: dict[TConn, float] = {}
        self.balance = Balance(None, 0)
        self.log.error_log.addFilter(_is_not_client_gone)

    def load_wsgi(self) -> None:
        super().load_wsgi()
        # These import models. Only now, in the worker process, are Django's apps loaded.
        from config.http.error_responses import as_http
        from config.http.middleware import reads_body_into_memory

        self._as_http: Callable[[Refusal], bytes] = as_http
        # gunicorn creates the poller just before it calls load_wsgi.
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
        super().set_accept_enabled(enabled and not self.balance.pause)
        if not enabled and not self.alive:
            # Fixes gunicorn: during a stop the kernel still accepted connections, which nobody served.
            for listener in self.sockets:
                listener.close()

    def accept(self, listener: socket.socket) -> None:
        # Fixes gunicorn, which accepts one connection in each round of the poller, after all other events.
        for _ in range(_ACCEPTED_AT_ONCE):
            if self.nr_conns >= self.worker_connections:
                return
            if self.balance.leaves(self.nr_conns):
                self.set_accept_enabled(False)
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
        except OSError:  # the client has disconnected
            self._drop(conn)

    def enqueue_req(self, conn: TConn) -> None:
        # Fixes gunicorn, where a thread waits up to five seconds for the client's first byte, and without limit for
        # the rest of its head.
        self._set_idle_timeout(conn.sock)  # for each request: the one before has changed the socket's timeouts
        conn.outgoing = None
        self._incoming.begin(conn)

    def _give_up(self, conn: TConn, reason: Exception | None) -> None:
        """Answer a request that stays incomplete, and close its connection."""
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
        # Fixes gunicorn, where a client that does not read a response without a length holds a thread for ever. These
        # are the kernel's timeouts, because gunicorn makes its sockets blocking again.
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
        """Send what the client accepts. Returns whether to keep the connection, or _UNSENT if there is more to send.

        Fixes gunicorn, where a client that stops reading holds a thread.
        """
        try:
            if not conn.outgoing.send(conn.sock):
                # The request may end in another thread, which could not release this thread's connection.
                database_connections.release_connection()
                return _UNSENT
        except Exception:
            self.log.exception("Sending a response failed.")
            conn.keeps = False
        conn.outgoing.close()
        return conn.keeps

    def finish_request(self, conn: TConn, done: "Future[Any]") -> None:
        self._turns.end(conn)
        self._incoming.release(conn)
        if done.cancelled() or done.exception() or done.result() is not _UNSENT:
            super().finish_request(conn, done)
        else:
            self._unsent[conn] = time.monotonic() + settings.UPLOADS.idle_timeout
            self.poller.register(conn.sock, EVENT_WRITE, partial(self._on_writable, conn))

    def _on_writable(self, conn: TConn, wire: socket.socket) -> None:
        self.poller.unregister(wire)
        del self._unsent[conn]
        sending = self.tpool.submit(self._send, conn)
        sending.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _drop_unsent(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        del self._unsent[conn]
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
        if conn is None or not isinstance(body, Body):  # HTTP/2
            return application(environ, start_response)
        idle_timeout, unreader = settings.UPLOADS.idle_timeout, conn.parser.unreader
        wire = WireInput(body, conn.sock, conn.expects_continue, idle_timeout, unreader, self._end_turn)
        response = response_of(start_response)
        exchange = Exchange(wire, response)
        environ = environ | {"wsgi.input": wire, EXCHANGE: exchange}

        def starting(status: str, *args: Any) -> Any:
            # Fixes gunicorn, which ignores an application's `Connection: close` and would read the rest of an
            # unwanted body for up to five seconds.
            if wire.is_unread:
                response.force_close()
                # A proxy has no origin. It would answer 502 if the connection was reset while it sends.
                conn.linger = not conn.origin or (
                    status[:3] not in _UNKNOWN_CLIENT and environ.get(KNOWS_CLIENT, bool)()
                )
            return start_response(status, *args)

        answer = application(environ, starting)
        if response.response_length is None or response.headers_sent or sends_no_body(response):
            return answer
        try:
            response.send_headers()
        except Exception:
            # Nobody else closes it: its thread would keep a connection of the database, of which there are few.
            answer.close()
            raise
        conn.outgoing = exchange.outgoing = Outgoing(answer, response.response_length)
        return ()

    def _end_turn(self) -> None:
        """Called in the thread of a request that is going to wait: let the next request of its address begin."""
        if (conn := getattr(self._serving, "conn", None)) is not None:
            self._end_turn_of(conn)

    def _end_turn_of(self, conn: TConn) -> None:
        if conn.has_turn:
            conn.has_turn = False
            self.method_queue.defer(self._turns.end, conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        self.balance.show(self.nr_conns)
        if self._turns.are_waited_for:
            timeout = min(timeout, COUNTS_FOR / 2)
        super().wait_for_and_dispatch_events(min(timeout, self.balance.pause or timeout))

    def _close(self, conn: TConn, graceful: bool = False) -> None:
        """Close a connection so that the client receives a response that was sent before it had sent the whole body.

        Fixes gunicorn, which waits up to two seconds for each such client in the thread that accepts connections.
        """
        origin, conn.origin = conn.origin, ""  # only once: gunicorn may close twice
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
        for conn in [conn for conn, deadline in self._unsent.items() if deadline < now]:
            self._drop_unsent(conn)


def _is_not_client_gone(record: logging.LogRecord) -> bool:
    """Leave out the traces of clients that stop or disconnect: they are no errors of the server."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TimeoutError | BlockingIOError | ConnectionError)
