"""A client of tus 1.0 that says exactly what a test wants to be said."""

import base64
import contextlib
import hashlib
import http.client
import select
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.server import Answer, Body, Server, query
from tests.support.waiting import wait_until

VERSION = "1.0.0"
UPLOADS = "/api/v1/uploads/"
OCTETS = "application/offset+octet-stream"
Headers = Mapping[str, str | None]  # None: leave out what would be sent


def metadata(**values: str | bytes | None) -> dict[str, str]:
    """Upload-Metadata; None is a key without a value."""
    words = [key if value is None else f"{key} {_base64(value)}" for key, value in values.items()]
    return {"Upload-Metadata": ",".join(words)}


def checksum(data: bytes, algorithm: str = "sha1") -> dict[str, str]:
    return {"Upload-Checksum": f"{algorithm} {_base64(hashlib.new(algorithm, data).digest())}"}


def _base64(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def pieces(data: bytes, size: int = 50_000) -> Iterator[bytes]:
    """A body that http.client sends chunked."""
    return (data[start : start + size] for start in range(0, len(data), size))


@dataclass
class Line:
    """A connection with a request on it whose body is the caller's to send."""

    wire: socket.socket
    chunked: bool

    def send(self, data: bytes) -> None:
        self.wire.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def end(self) -> None:
        """Say that a chunked body is over."""
        self.wire.sendall(b"0\r\n\r\n")

    def cut(self) -> None:
        """Say that no more will come, and stay for the answer."""
        self.wire.shutdown(socket.SHUT_WR)

    def has_answer(self) -> bool:
        return bool(select.select([self.wire], [], [], 0)[0])

    def answer(self) -> Answer:
        response = http.client.HTTPResponse(self.wire)
        response.begin()
        return Answer(response.status, response.msg, response.read())

    def was_refused(self) -> bool:
        """Whether the request came to an error, in words or by hanging up, and not to silence."""
        try:
            return self.answer().status >= 400
        except TimeoutError:
            return False
        except (OSError, http.client.HTTPException):
            return True


@dataclass(frozen=True)
class Client:
    server: Server
    user: str | None = "alice"

    def ask(self, method: str, path: str, body: Body = None, headers: Headers | None = None) -> Answer:
        """`body`: bytes, or an iterator of pieces, which is sent chunked."""
        answer = self.server.request(method, path, body, _spoken(headers), user=self.user)
        assert answer.headers["Tus-Resumable"] == VERSION, answer
        return answer

    def create(self, size: int | None = None, headers: Headers | None = None, body: Body = None) -> Answer:
        """`size` None defers the length. With a body it is creation-with-upload."""
        length = {"Upload-Defer-Length": "1"} if size is None else {"Upload-Length": str(size)}
        content_type = {} if body is None else {"Content-Type": OCTETS}
        return self.ask("POST", UPLOADS, body, {**length, **content_type, **(headers or {})})

    def new(self, size: int | None = None, headers: Headers | None = None) -> str:
        """The path of a new upload."""
        answer = self.create(size, headers)
        assert answer.status == 201, answer
        return str(answer.headers["Location"])

    def patch(self, path: str, offset: int, body: Body, headers: Headers | None = None) -> Answer:
        return self.ask("PATCH", path, body, {**_patching(offset), **(headers or {})})

    def head(self, path: str) -> Answer:
        return self.ask("HEAD", path)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)

    def offset(self, path: str) -> int:
        answer = self.head(path)
        assert answer.status == 200, answer
        return int(answer.headers["Upload-Offset"])

    def look(self, path: str) -> Any:
        """What the JSON view says, which disturbs nobody."""
        answer = self.ask("GET", path, headers={"Accept": "application/json", "Tus-Resumable": None})
        assert answer.status == 200, answer
        return answer.json()

    def wait_for(self, path: str, offset: int) -> None:
        """Until the server has written down that it has seen so many bytes."""
        # Not what the JSON view shows: that leaves out the first ones until enough came to look at.
        pk = path.rpartition("/")[2]
        where = f"CAST(id AS VARCHAR(36)) IN ('{pk}', '{pk.replace('-', '')}')"  # with dashes or without
        statement = f'SELECT "offset" FROM uploads_upload WHERE {where}'  # noqa: S608
        wait_until(lambda: query(self.server, statement) == [(offset,)])

    @contextlib.contextmanager
    def begin(
        self, path: str, offset: int, length: int | None, headers: Headers | None = None, method: str = "PATCH"
    ) -> Iterator[Line]:
        """A PATCH of which only the head is sent. `length` None: a chunked one."""
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        lines = {"Host": "127.0.0.1", **framing, **_spoken({**_patching(offset), **(headers or {})})}
        if self.user is not None:
            lines["Authorization"] = f"Bearer {self.server.tokens[self.user]}"
        head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as wire:
            wire.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
            yield Line(wire, chunked=length is None)

    @contextlib.contextmanager
    def sending(
        self, path: str, data: bytes, *, offset: int = 0, more: int = 1000, headers: Headers | None = None
    ) -> Iterator[Line]:
        """A PATCH of which `data` has arrived, and of which `more` bytes will not."""
        with self.begin(path, offset, len(data) + more, headers) as line:
            line.send(data)
            self.wait_for(path, offset + len(data))
            yield line

    def is_complete(self, path: str, content: bytes) -> bool:
        """Whether the upload is a file now, and holds this content."""
        upload = self.look(path)
        if (upload["state"], upload["offset"], upload["progress"]) != ("complete", len(content), 1):
            return False
        file = self.server.get(f"/api/v1/files/{upload['file']}/", user=self.user).json()
        stored = self.server.get(f"/api/v1/files/{upload['file']}/content", user=self.user).body
        return bool(stored == content and file["sha256"] == hashlib.sha256(content).hexdigest())

    def finish(self, path: str, content: bytes) -> int:
        """Go on where the server says and come to the end, as every client does. Returns where that was."""
        offset = self.offset(path)
        length = {"Upload-Length": str(len(content))} if self.head(path).headers["Upload-Defer-Length"] else None
        answer = self.patch(path, offset, content[offset:], length)
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(len(content))), answer
        assert self.is_complete(path, content), self.look(path)
        return offset


def _patching(offset: int) -> dict[str, str | None]:
    return {"Content-Type": OCTETS, "Upload-Offset": str(offset)}


def _spoken(headers: Headers | None) -> dict[str, str]:
    said: Headers = {"Tus-Resumable": VERSION, **(headers or {})}
    return {name: value for name, value in said.items() if value is not None}
