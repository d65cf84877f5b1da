"""A client that sees all that comes back while it sends: `100 Continue`, early answers, the end of the connection."""

import contextlib
import http.client
import selectors
import socket
from collections.abc import Iterator

from tests.support.raw_requests import chunk, form_of
from tests.support.server import Answer, Server

FORM = "Content-Type: multipart/form-data; boundary=b0undary"
PUT, POST = "PUT /api/v1/upload/film.mp4", "POST /api/v1/files/"
CONTINUE = "Expect: 100-continue"
CHUNKED = "Transfer-Encoding: chunked"


class Client:
    """One connection, and everything that comes back on it, also what comes before an answer."""

    def __init__(self, server: Server, *, user: str | None = "alice", buffer: int | None = None) -> None:
        self.wire = socket.socket()
        if buffer:
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.wire.settimeout(20)
        self.wire.connect(("127.0.0.1", server.port))
        self._answers = self.wire.makefile("rb")
        self._headers = ["Host: 127.0.0.1", *([f"Authorization: Bearer {server.tokens[user]}"] if user else [])]
        self.continues = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self._answers.close()
        self.wire.close()

    def ask(self, request: str, *headers: str, body: bytes = b"", version: str = "HTTP/1.1") -> "Client":
        lines = [f"{request} {version}", *self._headers, *headers]
        self.wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return self

    def answer(self) -> Answer:
        while (status := self.status()) == 100:
            assert not http.client.parse_headers(self._answers)
            self.continues += 1
        headers = http.client.parse_headers(self._answers)
        return Answer(status, headers, self._answers.read(int(headers["Content-Length"])))

    def status(self) -> int:
        line = self._answers.readline()
        assert line.startswith(b"HTTP/1."), line
        return int(line.split()[1])

    def is_asked(self) -> bool:
        """Wait for `100 Continue`."""
        return self.status() == 100 and self._answers.readline() == b"\r\n"

    def is_hung_up_on(self) -> bool:
        try:
            return self._answers.read() == b""
        except ConnectionError:
            return True

    def send_until_answered(self, pieces: Iterator[bytes]) -> int:
        """How much was sent until an answer could be read, or the server was gone."""
        sent = 0
        with selectors.DefaultSelector() as reading, contextlib.suppress(ConnectionError):
            reading.register(self.wire, selectors.EVENT_READ)
            for piece in pieces:
                if reading.select(0):
                    break
                self.wire.sendall(piece)
                sent += len(piece)
        return sent


def length(of: bytes | int) -> str:
    return f"Content-Length: {of if isinstance(of, int) else len(of)}"


def as_put(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    return content, (PUT, length(content))


def as_form(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    body = form_of(content)
    return body, (POST, FORM, length(body))


def as_chunks(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    return chunk(content[:70_000]) + chunk(content[70_000:]) + b"0\r\n\r\n", (PUT, CHUNKED)


def as_chunked_form(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    return as_chunks(form_of(content))[0], (POST, FORM, CHUNKED)


WAYS = {"put": as_put, "form": as_form, "chunked": as_chunks, "chunked form": as_chunked_form}
