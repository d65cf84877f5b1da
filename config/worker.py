"""gunicorn's thread worker, with what large, slow and hostile clients need. Each mend says what it mends.

Threads are for requests that move. A connection that has not said yet what it wants, whose reader has stopped, or
whose answer has been given, waits in the poller instead, where it costs a descriptor.
"""

import logging
import re
import socket
import threading
import time
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from django.conf import settings
from gunicorn import util
from gunicorn.http.body import Body
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import TConn, ThreadWorker

from config.lingering import Lingering
from config.outgoing import Outgoing
from config.wire import KNOWS_CLIENT, WireInput, timeval
from uploads.connections import let_go

MAX_HEAD = 64 * 1024
_HEAD_PIECE = 8 * 1024
_HEAD_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")  # a bare newline is refused as soon as it is parsed
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
        self._lingering = Lingering(self.poller)  # gunicorn makes the poller just before it calls this
        application: Any = self.wsgi
        self.wsgi: Any = partial(self._exchange, application)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            # Mends: the kernel went on to accept connections, which nobody served, until the end of a stop.
            for listener in self.sockets:
                listener.close()

    def enqueue_req(self, conn: TConn) -> None:
        # Mends: a thread would wait for what the client has not said yet, up to five seconds for its first byte,
        # and for ever for the rest of its head.
        if conn.data_ready:
            conn.data_ready = False
            super().enqueue_req(conn)
            return
        self._set_idle_timeout(conn.sock)  # again for each request: the one before has waited in its own ways
        if not conn.initialized:
            conn.close = partial(self._close, conn)
            conn.init()
        conn.outgoing, conn.head = None, bytearray(conn.parser.unreader.take_buffered())
        conn.sock.setblocking(False)
        # For all of the head: who sends a letter now and then is not waited for longer than who sends none.
        conn.timeout = time.monotonic() + min(self.cfg.keepalive, settings.UPLOADS.idle_timeout)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))
        if conn.head:
            self._on_head(conn, 0)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        try:
            data = client.recv(_HEAD_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        before = len(conn.head)
        conn.head += data
        if data:
            self._on_head(conn, max(0, before - 3))
        else:  # the end, or an error, that reading on will come upon again
            self._to_a_thread(conn)

    def _on_head(self, conn: TConn, searched: int) -> None:
        if _HEAD_END.search(conn.head, searched):
            self._to_a_thread(conn)
        elif len(conn.head) > MAX_HEAD:
            self.poller.unregister(conn.sock)
            self.pending_conns.remove(conn)
            self.nr_conns -= 1
            self.handle_error(None, conn.sock, conn.client, LimitRequestHeaders("The head is too large."))
            conn.close(graceful=True)

    def _to_a_thread(self, conn: TConn) -> None:
        conn.parser.unreader.unread(bytes(conn.head))
        super().on_pending_socket_readable(conn, conn.sock)

    @staticmethod
    def _set_idle_timeout(wire: socket.socket) -> None:
        # Mends: an answer without a length that nobody takes held a thread for ever, and so does whatever else waits
        # in one. The kernel's own timeouts, as gunicorn puts its sockets back to blocking.
        value = timeval(settings.UPLOADS.idle_timeout)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def handle(self, conn: TConn) -> Any:
        conn.keeps = super().handle(conn)
        return conn.keeps if conn.outgoing is None else self._send(conn)

    def _send(self, conn: TConn) -> Any:
        """Send what the reader takes; whether the connection goes on, or _UNSENT.

        Mends: a reader who stopped held a thread, and those who waited for one stopped on it in turn.
        """
        try:
            if not conn.outgoing.send(conn.sock):
                let_go()  # the request may end on another thread, which would not close this one's
                return _UNSENT
        except Exception:
            self.log.exception("An answer broke off.")
            conn.keeps = False
        conn.outgoing.close()
        return conn.keeps

    def finish_request(self, conn: TConn, done: "Future[Any]") -> None:
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
        conn.linger, conn.expects_continue = False, req._expected_100_continue
        req._expected_100_continue = False
        self._serving.conn = conn
        try:
            return super().handle_request(req, conn)
        finally:
            self._serving.conn = None

    def _exchange(self, application: Any, environ: dict[str, Any], start_response: Any) -> Any:
        conn, body = getattr(self._serving, "conn", None), environ["wsgi.input"]
        if conn is None or not isinstance(body, Body):  # HTTP/2 has its own ways
            return application(environ, start_response)
        wire = WireInput(body, conn.sock, conn.expects_continue, settings.UPLOADS.idle_timeout)
        response, environ = start_response.__self__, environ | {"wsgi.input": wire}

        def starting(status: str, *args: Any) -> Any:
            # Mends: gunicorn drops an application's `Connection: close`, and would read, for up to five seconds,
            # the rest of a body that nobody wants.
            if wire.is_unread:
                response.force_close()
                conn.linger = status[:3] not in _UNKNOWN_CLIENT and environ.get(KNOWS_CLIENT, bool)()
            return start_response(status, *args)

        answer = application(environ, starting)
        if response.response_length is None or response.headers_sent or response._omits_body:
            return answer
        response.send_headers()
        conn.outgoing = Outgoing(answer, response.response_length)
        return ()

    def _close(self, conn: TConn, graceful: bool = False) -> None:
        """Close, so that an answer arrives which was given before the whole body was sent.

        Mends: gunicorn waits for the client's end in the thread that accepts connections, two seconds for each.
        """
        if graceful:
            self._lingering.close(conn.sock, wait=getattr(conn, "linger", False))
        else:
            util.close(conn.sock)

    def murder_pending(self) -> None:
        super().murder_pending()
        self._lingering.expire()
        now = time.monotonic()
        for conn in [conn for conn, deadline in self._reading.items() if deadline < now]:
            self._give_up_reader(conn)


def _is_not_idleness(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TimeoutError | BlockingIOError | ConnectionError)
