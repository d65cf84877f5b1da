"""Who has not said who he is puts no byte on the disk, at any address, and is answered before he has sent much.

Measured where it cannot be missed: strace sees every byte that the server's processes receive and write.
"""

import http.client
import re
import select
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.urls import get_resolver

from tests.support.api_endpoints import addresses
from tests.support.server import Answer, Server, Template, form_part

OFFERED = 300 * 1000**2
READ_AT_MOST = 256 * 1024
SMALL = 1024**2  # a body that may be read into memory, and whole before anybody looks at it
HEAD = 1024
RECEIVING = ("read", "recvfrom", "readv", "recvmsg")
WRITING = (
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendfile", "copy_file_range",
    "splice", "fallocate",
)  # fmt: skip
# A descriptor with one of these is not on any disk.
_NO_FILE = re.compile(r"(TCP|TCPv6|UDP|UNIX|UNIX-STREAM|NETLINK|socket|pipe|anon_inode):")


# Addresses


ADDRESSES = sorted({*addresses(get_resolver("config.urls")), "/nowhere/", "/admin/nowhere/", "/static/favicon.svg"})


def test_the_addresses_are_those_we_have() -> None:
    assert {"/", "/admin/", "/admin/login/", "/api/v1/files/", "/api/v1/upload/made-up", "/healthz"} <= {*ADDRESSES}


# What the server's processes did


@dataclass
class Watched:
    """A server under strace. Reads its trace as it grows."""

    server: Server
    path: Path
    _read: int = 0
    _unfinished: dict[str, str] = field(default_factory=dict)

    def calls(self) -> Iterator[tuple[str, str, int]]:
        """What was done since the last time: system call, what its descriptor is, and how many bytes."""
        with self.path.open() as trace:
            trace.seek(self._read)
            text = trace.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            if found := _CALL.match(self._joined(line)):
                yield found["call"], found["target"], int(found["result"])

    def _joined(self, line: str) -> str:
        process, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            self._unfinished[process] = call.removesuffix("<unfinished ...>")
            return ""
        if call.startswith("<... "):
            return self._unfinished.pop(process, "") + call.partition("resumed>")[2]
        return call


_CALL = re.compile(
    rf"(?P<call>{'|'.join(RECEIVING + WRITING)})\(\d+<(?P<target>.*?)>(\(deleted\))?[,)].* = (?P<result>\d+)"
)


@pytest.fixture(scope="module")
def watched(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("watched")
    home, trace = folder / "home", folder / "trace"
    # Python's own cache of compiled modules is nobody's upload.
    wrapper = ["env", "PYTHONDONTWRITEBYTECODE=1", "strace", "-f", "-qq", "-yy", "-s", "0", "-o", str(trace)]
    wrapper += ["-e", f"trace={','.join(RECEIVING + WRITING)}"]
    server = Server(home, template.tokens, template.copy_to(home), wrapper=wrapper)
    server.start()
    watched = Watched(server, trace)
    list(watched.calls())
    yield watched
    server.end()


@dataclass
class Seen:
    answer: Answer
    received: int  # bytes, of this connection, up to the first of its answer
    written: list[tuple[str, str, int]]  # to anything but sockets, pipes and the log


def offer(watched: Watched, head: bytes, body: Iterator[bytes]) -> Seen:
    """Send the body until there is an answer, or no more of it."""
    with socket.create_connection(("127.0.0.1", watched.server.port), timeout=20) as wire:
        peer = f"->127.0.0.1:{wire.getsockname()[1]}]"
        try:
            wire.sendall(head)
            for piece in body:
                if select.select([wire], [], [], 0)[0]:
                    break
                wire.sendall(piece)
        except ConnectionError:
            pass  # answered, and closed while we were sending: the answer is there to be read
        response = http.client.HTTPResponse(wire)
        response.begin()
        answer = Answer(response.status, response.msg, response.read())
    received, written, answered = 0, [], False
    deadline = time.monotonic() + 60
    while not answered:
        assert time.monotonic() < deadline, "strace shows no answer"
        for call, target, size in watched.calls():
            ours = target.endswith(peer)
            answered |= ours and call in WRITING
            if ours and call in RECEIVING and not answered:
                received += size
            if call in WRITING and size and not _NO_FILE.match(target) and not target.endswith("/server.log"):
                written.append((call, target, size))
        time.sleep(0.005)
    return Seen(answer, received, written)


# What is offered

TOKEN = "abcdefghijklmnopqrstuvwxyz012345"  # as the CSRF cookie's: anybody can make up a pair that fits


def film_form() -> Iterator[bytes]:
    """A form whose file does not end before 300 MB."""
    yield form_part("csrfmiddlewaretoken", TOKEN.encode()) + form_part("file", b"\0\0\0\x20ftypisom", "film.mp4")[:-2]
    piece = bytes(60_000)
    for _ in range(OFFERED // len(piece)):
        yield piece


def in_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


LENGTHS = {
    "of 300 MB": f"Content-Length: {OFFERED}",
    "of less than it sends": "Content-Length: 200000",
    "of the most a form may have": f"Content-Length: {SMALL}",
    "in chunks": "Transfer-Encoding: chunked",
}
# With a CSRF cookie Django asks for the form's token, and so parses the body, before it calls any view.
COOKIES = {"": "", "with cookies": f"Cookie: csrftoken={TOKEN}; theme=dark\r\n"}


@pytest.mark.parametrize("cookies", COOKIES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_anonymous_form_is_refused_early_and_writes_nothing(
    watched: Watched, address: str, length: str, cookies: str
) -> None:
    head = (
        f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1:{watched.server.port}\r\n{LENGTHS[length]}\r\n{COOKIES[cookies]}"
        "Content-Type: multipart/form-data; boundary=b0undary\r\n\r\n"
    )
    body = in_chunks(film_form()) if length == "in chunks" else film_form()
    seen = offer(watched, head.encode(), body)
    assert 400 <= seen.answer.status < 500, seen.answer
    assert seen.received <= (SMALL + HEAD if str(SMALL) in LENGTHS[length] else READ_AT_MOST)
    assert seen.written == []
    assert watched.server.stored_bytes() == []


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
@pytest.mark.parametrize("address", ["/api/v1/upload/film.mp4", "/api/v1/files/", "/admin/login/"])
def test_an_anonymous_body_is_refused_early_and_writes_nothing(
    watched: Watched, method: str, address: str, length: str
) -> None:
    head = f"{method} {address} HTTP/1.1\r\nHost: 127.0.0.1:{watched.server.port}\r\n{LENGTHS[length]}\r\n\r\n"
    seen = offer(watched, head.encode(), in_chunks(film_form()) if length == "in chunks" else film_form())
    assert 400 <= seen.answer.status < 500, seen.answer
    assert seen.received <= (SMALL + HEAD if str(SMALL) in LENGTHS[length] else READ_AT_MOST)
    assert seen.written == []


@pytest.mark.parametrize(
    "claim", [f"Authorization: Bearer {'0' * 64}", f"Cookie: sessionid={TOKEN}; csrftoken={TOKEN}"]
)
@pytest.mark.parametrize("request_line", ["POST /api/v1/files/", "PUT /api/v1/upload/film.mp4"])
def test_a_made_up_token_or_session_is_as_good_as_none(watched: Watched, request_line: str, claim: str) -> None:
    head = (
        f"{request_line} HTTP/1.1\r\nHost: 127.0.0.1:{watched.server.port}\r\n{claim}\r\n{LENGTHS['of 300 MB']}\r\n"
        "Content-Type: multipart/form-data; boundary=b0undary\r\n\r\n"
    )
    seen = offer(watched, head.encode(), film_form())
    assert (seen.answer.status, seen.answer.code) == (401, "unauthenticated")
    assert seen.received <= READ_AT_MOST
    # Looking it up opens the database, for which SQLite makes the file of its shared memory anew.
    assert [call for call in seen.written if not call[1].endswith(".sqlite3-shm")] == []


@pytest.mark.local_disk
def test_the_trace_would_show_a_write(watched: Watched, clip: bytes) -> None:
    """Else all of the above would pass on a trace that shows nothing."""
    body = form_part("file", clip, "clip.mp4") + b"--b0undary--\r\n"
    head = (
        f"POST /api/v1/files/ HTTP/1.1\r\nHost: 127.0.0.1:{watched.server.port}\r\n"
        f"Authorization: Bearer {watched.server.tokens['alice']}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=b0undary\r\n\r\n"
    )
    seen = offer(watched, head.encode(), iter([body]))
    file = seen.answer.json()
    assert watched.server.request("DELETE", f"/api/v1/files/{file['id']}/").status == 204
    to_media = sum(size for _, target, size in seen.written if target.startswith(str(watched.server.media)))
    assert to_media == len(clip)
    assert seen.received >= len(body)
