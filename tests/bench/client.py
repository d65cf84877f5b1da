"""The client: as little as can be. One socket, one `sendfile` from the page cache, one answer."""

import http.client
import json
import os
import socket
import time
from dataclasses import dataclass, field

from .payload import Payload

PATIENCE = 120.0  # of every single call on the socket
BOUNDARY = "b0undary-of-the-bench"


class BenchError(Exception):
    """A server erred, a digest is wrong, or something took too long."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sha256(self) -> str:
        return str(json.loads(self.body)["sha256"])


@dataclass(frozen=True)
class Request:
    """A request line, headers, and what stands around the payload in the body."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""

    def head(self, length: int) -> bytes:
        every = {"Host": "127.0.0.1", "Connection": "close", **self.headers, "Content-Length": str(length)}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def form(path: str, headers: dict[str, str] | None = None) -> Request:
    before = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="film.mp4"\r\n'
        "Content-Type: video/mp4\r\n\r\n"
    )
    after = f"\r\n--{BOUNDARY}--\r\n"
    content_type = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return Request("POST", path, {**(headers or {}), **content_type}, before.encode(), after.encode())


def send(port: int, request: Request, payload: Payload | None = None, part: slice | None = None) -> Answer:
    """With the payload, or a part of it, as the body."""
    with connect(port) as wire:
        return exchange(wire, request, payload, part)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def exchange(
    wire: socket.socket, request: Request, payload: Payload | None = None, part: slice | None = None
) -> Answer:
    start, stop, _ = (part or slice(None)).indices(payload.size if payload else 0)
    length = len(request.before) + stop - start + len(request.after)
    try:
        wire.sendall(request.head(length) + request.before + (payload.head[start:stop] if payload else b""))
        if payload is not None:
            _send_rest(wire, payload, max(start, len(payload.head)), stop)
        wire.sendall(request.after)
    except ConnectionError as error:
        raise BenchError(f"{request.method} {request.path}: cut off ({error}). {_last_words(wire)}") from error
    return answer_of(wire, request)


def _send_rest(wire: socket.socket, payload: Payload, offset: int, stop: int) -> None:
    wire.setblocking(True)  # with a timeout Python would poll before every call
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, int(PATIENCE).to_bytes(8, "little") + bytes(8))
    with payload.source.path.open("rb") as file:
        while offset < stop:
            try:
                offset += os.sendfile(wire.fileno(), file.fileno(), offset, stop - offset)
            except BlockingIOError as error:
                raise BenchError(f"the server took no byte for {PATIENCE:.0f} s") from error
    wire.settimeout(PATIENCE)


def answer_of(wire: socket.socket, request: Request) -> Answer:
    response = http.client.HTTPResponse(wire)
    try:
        response.begin()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{request.method} {request.path}: no answer ({error!r})") from error
    if not 200 <= answer.status < 300:
        raise BenchError(f"{request.method} {request.path}: {answer.status} {answer.body[:500]!r}")
    return answer


def _last_words(wire: socket.socket) -> str:
    wire.settimeout(2)
    try:
        return repr(wire.recv(1000))
    except OSError:
        return "It said nothing."


def ping(port: int) -> float:
    """Seconds until /healthz has answered, on a connection of its own."""
    started = time.perf_counter()
    send(port, Request("GET", "/healthz"))
    return time.perf_counter() - started
