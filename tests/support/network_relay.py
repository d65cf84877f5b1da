"""A wire between a client and the server, that fails when it is told to."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with a reset, whatever is still on its way
_SLOW = 0.02  # seconds for at most 256 KB


class Relay:
    """Passes bytes on, in both directions, between whoever connects to `port` and the server.

    A client takes it for the server: what the server says of its addresses is made of the name it was called by.
    """

    def __init__(self, server_port: int, port: int = 0) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0  # bytes of clients that the server's end of the wire took
        self.answered = 0  # bytes of the server
        self.is_away = False
        self._hold_at: int | None = None
        self._may_answer = threading.Event()
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._servers: set[socket.socket] = set()
        self._trouble_at: int | None = None
        self._trouble: Callable[[], object] = self.cut
        self._damage_at: int | None = None
        self._slow_at: int | None = None
        self._loses_answer = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do_at(self, sent: int, trouble: Callable[[], object]) -> None:
        """Once, when clients have sent that much. The connection that came to this point goes no further."""
        self._trouble_at, self._trouble = sent, trouble

    def slow_down_at(self, sent: int) -> None:
        """From there on pass clients' bytes on at a pace that lets them stop before the end, until `go_on`."""
        self._slow_at = sent

    def hold_answers_at(self, answered: int) -> None:
        """Pass on no more of the server's bytes than this, until `go_on`."""
        self._hold_at = answered

    def go_on(self) -> None:
        self._hold_at = self._slow_at = None
        self._may_answer.set()

    def cut(self) -> None:
        """Reset every connection, at both ends."""
        self.lose()
        self._reset(self._servers)

    def go_away(self) -> None:
        """Reset every connection, and take no others until `is_away` is set to False."""
        self.is_away = True
        self.cut()

    def lose(self) -> None:
        """Reset the clients' connections, as if they drove into a tunnel: nobody tells the server."""
        self._reset(self._clients)

    def lose_next_answer(self) -> None:
        """Once: the server gets the request whole, and its client hears no answer."""
        self._loses_answer = True

    def damage_at(self, sent: int) -> None:
        """Change one byte, once."""
        self._damage_at = sent

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _reset(self, wires: set[socket.socket]) -> None:
        with self._lock:
            going = set(wires)
            wires.clear()
        for wire in going:
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            _close(wire)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                client = self._listener.accept()[0]
                if self.is_away:
                    _close(client)
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except ConnectionRefusedError:
                    _close(client)
                    continue
                with self._lock:
                    self._clients.add(client)
                    self._servers.add(server)
                threading.Thread(target=self._send, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        buffer = memoryview(bytearray(256 * 1024))
        while count := self._carry(client, server, buffer):
            if self._is_time(count):
                self._trouble()
                return
        with self._lock:
            lost = client not in self._clients
        if not lost:
            self._end(client, server)

    def _carry(self, client: socket.socket, server: socket.socket, buffer: memoryview) -> int:
        try:
            count = client.recv_into(buffer)
            self._damage(buffer[:count])
            self._on_request(buffer[:count])
            if self._slow_at is not None and self.sent >= self._slow_at:
                time.sleep(_SLOW)
            server.sendall(buffer[:count])
        except OSError:
            return 0
        return count

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if self._loses_answer:
                    self._loses_answer = False
                    break
                with self._lock:
                    self.answered += len(data)
                if self._hold_at is not None and self.answered > self._hold_at:
                    self._may_answer.wait()
                client.sendall(data)
        self._end(client, server)

    def _on_request(self, data: memoryview) -> None:
        """For other kinds of relays: bytes of a client, before the server gets them."""

    def _damage(self, data: memoryview) -> None:
        if self._damage_at is not None and self.sent + len(data) > self._damage_at:
            data[0] ^= 1
            self._damage_at = None

    def _is_time(self, count: int) -> bool:
        with self._lock:
            self.sent += count
            if self._trouble_at is None or self.sent < self._trouble_at:
                return False
            self._trouble_at = None
            return True

    def _end(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._clients.discard(client)
            self._servers.discard(server)
        _close(client)
        _close(server)


def _close(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
    wire.close()
