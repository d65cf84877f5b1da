"""Bodies of requests: cut into pieces, with digests, and read from a socket as gunicorn's worker reads them."""

import base64
import hashlib
import io
import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from gunicorn.http.body import Body as WireBody
from gunicorn.http.body import LengthReader
from gunicorn.http.unreader import SocketUnreader

from config.web_server.socket_io import WireInput
from uploads.http.body import Body


def cut(content: bytes, places: list[int]) -> Iterator[bytes]:
    """Cut `content` at these places, wherever they lie."""
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return (content[start:stop] for start, stop in pairwise(edges) if stop > start)


def claim(content: bytes, algorithm: str = "sha-256") -> str:
    digest = hashlib.new(algorithm.replace("-", ""), content).digest()
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"


MIB = 1024**2


class NotWired(io.BytesIO):
    """A server's `wsgi.input` that can only be read from, as PEP 3333 asks."""


class Wire:
    """What the worker gives the application, over a socket: gunicorn's own reading, and our way around it."""

    def __init__(
        self, length: int, ahead: bytes = b"", *, expects_continue: bool = False, idle_timeout: float = 5
    ) -> None:
        self.client, self._server = socket.socketpair()
        self._server.settimeout(5)
        unreader = SocketUnreader(self._server)
        unreader.unread(ahead)
        self.body = WireBody(LengthReader(unreader, length))
        self.input = WireInput(self.body, self._server, expects_continue, idle_timeout)
        self.environ: dict[str, Any] = {"wsgi.input": self.input, "CONTENT_LENGTH": str(length)}

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self._server.close()

    def read(self) -> bytes:
        return b"".join(map(bytes, Body(self.environ, idle_timeout=5).pieces()))
