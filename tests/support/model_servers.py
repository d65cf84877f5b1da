"""Model servers as they should not be: each connection is handled by a function, on a real socket."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Handle = Callable[[socket.socket], object]


@dataclass
class ScriptedServer:
    port: int
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/predict"


@contextmanager
def serving(handle: Handle, port: int = 0) -> Iterator[ScriptedServer]:
    """A server that gives each connection to `handle`, in a thread, and then closes it."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        made = ScriptedServer(listener.getsockname()[1])

        def serve(sock: socket.socket) -> None:
            with sock, contextlib.suppress(OSError):
                sock.settimeout(30)
                handle(sock)

        def accept() -> None:
            while not made.stopping.is_set():
                with contextlib.suppress(OSError):
                    sock, _ = listener.accept()
                    made.connections += 1
                    threading.Thread(target=serve, args=(sock,), daemon=True).start()

        listener.settimeout(0.2)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.stopping.set()
            thread.join()


def read_request(sock: socket.socket) -> tuple[str, bytes]:
    """The head and the body of a request."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(sock)
    head, _, body = received.partition(b"\r\n\r\n")
    text = head.decode()
    [length] = [int(line.split(":")[1]) for line in text.splitlines() if line.lower().startswith("content-length")]
    pieces, size = [body], len(body)
    while size < length:
        pieces.append(_more(sock))
        size += len(pieces[-1])
    return text, b"".join(pieces)


def _more(sock: socket.socket) -> bytes:
    if not (data := sock.recv(1 << 20)):
        raise ConnectionError("the client has gone")
    return data


def in_turn(*steps: Handle) -> Handle:
    def handle(sock: socket.socket) -> None:
        for step in steps:
            step(sock)

    return handle


def sending(data: bytes) -> Handle:
    return lambda sock: sock.sendall(data)


def answering(answer: bytes) -> Handle:
    """Reads the request, and sends these bytes."""
    return in_turn(read_request, sending(answer))


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    announced = f"Content-Length: {len(body) if length is None else length}"
    head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", announced, *headers])
    return head.encode() + b"\r\n\r\n" + body


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", "Content-Length: 0", *headers]).encode() + b"\r\n\r\n"


def reset(sock: socket.socket) -> None:
    """Close a connection by a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def pour(sock: socket.socket, piece: bytes, size: int) -> None:
    """Send a piece again and again."""
    sent = 0
    while sent < size:
        sock.sendall(piece)
        sent += len(piece)


def trickle(sock: socket.socket, stopping: threading.Event, beginning: bytes = b"") -> None:
    """Send a byte now and then, without end."""
    sock.sendall(beginning)
    while not stopping.wait(0.05):
        sock.sendall(b" ")
