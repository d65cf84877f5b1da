"""Uploads that stop half-way until the test goes on, and what the API shows of them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.server import Server
from tests.support.waiting import wait_until


@contextmanager
def slow_put(server: Server, data: bytes, sent: int, **headers: str) -> Iterator[socket.socket]:
    """A PUT of which `sent` bytes have come so far."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        send_head(server, wire, len(data), headers)
        wire.sendall(data[:sent])
        yield wire


def send_head(server: Server, wire: socket.socket, length: int, headers: dict[str, str]) -> None:
    lines = ["PUT /api/v1/upload/slow.mp4 HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"Content-Length: {length}", f"Authorization: Bearer {server.tokens['alice']}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    wire.sendall("\r\n".join([*lines, "", ""]).encode())


def ended(wire: socket.socket) -> tuple[int, dict[str, Any]]:
    """The answer at the end of a slow PUT."""
    said = b""
    while data := wire.recv(65536):
        said += data
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def uploads(server: Server, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"/api/v1/uploads/?key={key}", user="alice").json()["results"]
    return found


def wait_for_offset(server: Server, key: str, offset: int) -> None:
    wait_until(lambda: uploads(server, key)[0]["offset"] >= offset)
