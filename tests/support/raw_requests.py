"""Uploads as they go over the wire, byte by byte: a client that says exactly what a test wants to be said."""

import contextlib
import gzip
import http.client
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.server import Answer, Body, Server, form_end, form_part

FORM = {"Content-Type": "multipart/form-data; boundary=b0undary"}
FILES = "/api/v1/files/"
UPLOAD = "/api/v1/upload/"


@dataclass
class Request:
    """Bytes as they go over the wire. The length is that of `body` unless `headers` say otherwise."""

    method: str
    path: str
    body: Body = b""
    headers: dict[str, str] = field(default_factory=dict)
    shut: bool = False  # say that no more will come, though more was announced

    def head(self, server: Server, user: str, key: str = "") -> bytes:
        length = {"Content-Length": str(len(self.body))} if isinstance(self.body, bytes) else {}
        if "Transfer-Encoding" in self.headers:
            length = {}
        headers = {
            "Host": f"127.0.0.1:{server.port}", "Authorization": f"Bearer {server.tokens[user]}", **length,
            **({"Idempotency-Key": key} if key else {}), **self.headers,
        }  # fmt: skip
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def pieces(self) -> Iterator[bytes]:
        return iter([self.body] if isinstance(self.body, bytes) else self.body or [])


@dataclass
class Line:
    """A connection with a request on it."""

    wire: socket.socket
    sent: int = 0  # bytes of the body

    def send(self, data: bytes) -> None:
        """As much of it as the server wants to have: it may answer, and hang up, before the end."""
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(data), 65536):
                if self.has_answer():
                    return
                self.wire.sendall(data[start : start + 65536])
                self.sent += len(data[start : start + 65536])

    def has_answer(self) -> bool:
        return bool(select.select([self.wire], [], [], 0)[0])

    def answer(self) -> Answer:
        response = http.client.HTTPResponse(self.wire)
        response.begin()
        return Answer(response.status, response.msg, response.read())


@contextlib.contextmanager
def line(server: Server, request: Request, user: str = "alice", key: str = "") -> Iterator[Line]:
    """The request's head is sent; its body is the caller's to send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        wire.sendall(request.head(server, user, key))
        yield Line(wire)


def send(server: Server, request: Request, user: str = "alice", key: str = "") -> Answer:
    with line(server, request, user, key) as client:
        for piece in request.pieces():
            if client.has_answer():
                break
            client.send(piece)
        if request.shut:
            with contextlib.suppress(OSError):
                client.wire.shutdown(socket.SHUT_WR)
        return client.answer()


def put(name: str, body: Body = b"", *, shut: bool = False, **headers: Any) -> Request:
    return Request("PUT", UPLOAD + name, body, _with_dashes(headers), shut)


def form(body: bytes, *, shut: bool = False, **headers: Any) -> Request:
    return Request("POST", FILES, body, FORM | _with_dashes(headers), shut)


def _with_dashes(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def chunked(name: str, body: Body, *, shut: bool = False, **headers: Any) -> Request:
    return put(name, body, shut=shut, Transfer_Encoding="chunked", **headers)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunks(data: bytes, size: int = 50_000) -> bytes:
    return b"".join(chunk(data[start : start + size]) for start in range(0, len(data), size)) + b"0\r\n\r\n"


def form_of(content: bytes, name: str = "film.mp4") -> bytes:
    return form_part("file", content, name) + form_end()


def named(header: str, value: str) -> dict[str, Any]:
    return {header: value}


WAYS: dict[str, Callable[[bytes], Request]] = {
    "put": lambda content: put("film.mp4", content),
    "form": lambda content: form(form_of(content)),
    "chunked": lambda content: chunked("film.mp4", chunks(content)),
    "chunked form": lambda content: Request(
        "POST", FILES, chunks(form_of(content)), FORM | {"Transfer-Encoding": "chunked"}
    ),
    "gzip": lambda content: put("film.mp4", gzip.compress(content), Content_Encoding="gzip"),
}
