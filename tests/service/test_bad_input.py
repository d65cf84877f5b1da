"""Every kind of bad input gets its status and its stable code, and nothing of it is kept."""

import base64
import contextlib
import gzip
import hashlib
import http.client
import os
import select
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import children
from tests.support.running_servers import StartServer, running
from tests.support.server import Answer, Body, Server, Template, form_end, form_part
from tests.support.waiting import wait_until

MIB = 1024**2
LIMIT = MIB  # MAX_FILE_SIZE of the server below
FORM = {"Content-Type": "multipart/form-data; boundary=b0undary"}
FILES = "/api/v1/files/"
UPLOAD = "/api/v1/upload/"

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, MAX_FILE_SIZE=str(LIMIT)) as made:
        yield made


# A client that says exactly what a test wants to be said


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


def digest(data: bytes, algorithm: str = "sha-256") -> str:
    found = hashlib.new(algorithm.replace("-", ""), data).digest()
    return f"{algorithm}=:{base64.b64encode(found).decode()}:"


# What a server keeps


def files(server: Server, user: str = "alice") -> list[Any]:
    found: list[Any] = server.get(f"{FILES}?page_size=500", user=user).json()["results"]
    return found


def uploads(server: Server, state: str, user: str = "alice") -> list[Any]:
    found: list[Any] = server.get(f"/api/v1/uploads/?state={state}&page_size=500", user=user).json()["results"]
    return found


def nameless_bytes(server: Server) -> list[str]:
    """Content without a name that the server holds open: an upload on its way, or one it forgot to let go."""
    found = []
    for process in [server.pid, *children(server.pid)]:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith(str(server.media)):
                    found.append(target)
    return found


@contextlib.contextmanager
def nothing_kept(server: Server, user: str = "alice") -> Iterator[None]:
    """Whatever happens inside leaves no file, no bytes, and no upload that would hold a reservation."""
    before: tuple[list[Any], ...] = (files(server, user), sorted(server.stored_bytes()), [], [])
    yield
    wait_until(
        lambda: before == (
            files(server, user), sorted(server.stored_bytes()), uploads(server, "receiving", user),
            nameless_bytes(server),
        )
    )  # fmt: skip


def assert_refused(server: Server, request: Request, status: int, code: str) -> Answer:
    """The request is answered so, keeps nothing, and leaves its Idempotency-Key to another."""
    key = uuid.uuid4().hex
    with nothing_kept(server):
        answer = send(server, request, key=key)
        assert (answer.status, answer.code) == (status, code), answer
    assert not [upload for upload in uploads(server, "complete") if upload["key"] == key]
    film = b"\x1aE\xdf\xa3" + b"\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm" + os.urandom(100)
    good = put("good.webm", film) if request.method == "PUT" else form(form_of(film, "good.webm"))
    again = send(server, good, key=key)
    assert again.status == 201, again
    assert "Idempotency-Replayed" not in again.headers
    return answer


# Names, fields, and what is in the file


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"%PDF-1.7 is not a film " + bytes(1000), "unsupported_media"),
        (b"MZ" + os.urandom(5000), "unsupported_media"),
        (b"<html><script>alert(1)</script></html>", "unsupported_media"),
        (b"", "empty_file"),
    ],
    ids=["PDF", "program", "HTML", "empty"],
)
@pytest.mark.parametrize("entrance", ["put", "form", "chunked"])
def test_what_is_no_media_is_refused(server: Server, entrance: str, body: bytes, code: str) -> None:
    requests = {
        "put": put("film.mp4", body),
        "form": form(form_of(body)),
        "chunked": chunked("film.mp4", chunks(body)),
    }
    assert_refused(server, requests[entrance], 415 if code == "unsupported_media" else 400, code)


@pytest.mark.parametrize(
    "name",
    ["a/b.mp4", "../b.mp4", "/etc/passwd", "..\\\\x.mp4", "..", "a\0b.mp4", "  ", "n" * 256, "n" * 10_000],
    ids=["folder", "above", "absolute", "backslash", "dots", "NUL", "blank", "256 characters", "10000 characters"],
)
def test_a_form_file_with_a_bad_name_is_refused(server: Server, film: Film, name: str) -> None:
    assert_refused(server, form(form_of(film(), name)), 400, "invalid_name")


@pytest.mark.parametrize(
    "name",
    ["a%2Fb.mp4", "..%2Fb.mp4", "../b.mp4", "a/b.mp4", "..%5Cx.mp4", "%2e%2e", "a%00b.mp4", "%20", "n" * 256,
     "n" * 4000],
)  # fmt: skip
def test_a_put_file_with_a_bad_name_is_refused(server: Server, film: Film, name: str) -> None:
    assert_refused(server, put(name, film()), 400, "invalid_name")


def test_a_name_longer_than_an_address_may_be_is_refused(server: Server, film: Film) -> None:
    with nothing_kept(server):
        # Before any of our code: an address like this is no HTTP for gunicorn.
        assert send(server, put("n" * 10_000, film())).status == 414


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([("title", b"holidays", None)], "missing_file"),
        ([("attachment", b"FILM", "film.mp4")], "missing_file"),
        ([("file", b"not a file: it has no file name", None)], "missing_file"),
        ([("file", b"", "")], "missing_file"),
        ([("file", b"FILM", "film.mp4"), ("file", b"FILM", "film.mp4")], "too_many_files"),
        ([("file", b"FILM", "film.mp4"), ("other", b"FILM", "film.mp4")], "too_many_files"),
        ([(f"field{number}", b"x", None) for number in range(1001)], "malformed_form"),
        ([("title", b"x" * (MIB + 1), None)], "too_large"),
        ([("", b"x", None)], "malformed_form"),
    ],
    ids=["no file", "other field", "no file name", "left empty", "twice", "two fields", "1001 fields", "huge field",
         "nameless field"],
)  # fmt: skip
def test_a_form_without_its_one_file_is_refused(
    server: Server, film: Film, parts: list[tuple[str, bytes, str | None]], code: str
) -> None:
    body = b"".join(form_part(name, content.replace(b"FILM", film()), file) for name, content, file in parts)
    assert_refused(server, form(body + form_end()), 413 if code == "too_large" else 400, code)


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("multipart/form-data", 400, "malformed_form"),
        ("multipart/form-data; boundary=", 400, "malformed_form"),
        ("multipart/form-data; boundary=another", 400, "malformed_form"),
        ("application/json", 400, "invalid_request"),
        ("text/plain", 415, "unsupported_request"),
    ],
)
def test_a_body_that_its_type_does_not_describe_is_refused(
    server: Server, film: Film, content_type: str, status: int, code: str
) -> None:
    for size in (5_000, 300_000):
        body = form_of(film(size))
        assert_refused(server, Request("POST", FILES, body, {"Content-Type": content_type}), status, code)


def test_a_form_that_is_not_multipart_is_refused(server: Server) -> None:
    request = Request("POST", FILES, b"file=film.mp4", {"Content-Type": "application/x-www-form-urlencoded"})
    assert_refused(server, request, 400, "missing_file")


@pytest.mark.parametrize(
    "part",
    [
        b"no header at all\r\n\r\n",
        b'Content-Disposition: attachment; name="file"; filename="film.mp4"\r\n\r\n',
        b"Content-Type: video/mp4\r\n\r\n",
        b'Content-Disposition: form-data; name="\xff\xfe"; filename="film.mp4"\r\n\r\n',
        b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n",
        b"X-Header: 1\r\n" * 20 + b"\r\n",
        b'Content-Disposition: form-data; name="file"; filename="film.mp4"\r\nContent-Length: 3\r\n\r\n',
    ],
    ids=["no headers", "attachment", "no disposition", "not UTF-8", "long header", "many headers", "wrong length"],
)
def test_a_form_with_broken_part_headers_is_refused(server: Server, film: Film, part: bytes) -> None:
    assert_refused(server, form(b"--b0undary\r\n" + part + film() + b"\r\n" + form_end()), 400, "malformed_form")


@pytest.mark.parametrize("piece", [b"all talk and no form ", b"\r\n", b"--b0undar\r\n", b"\r"])
def test_a_preamble_that_never_ends_is_refused_soon(server: Server, piece: bytes) -> None:
    body = (chunk(piece * 1000) for _ in repeat(0))
    with nothing_kept(server):
        request = Request("POST", FILES, body, FORM | {"Transfer-Encoding": "chunked"})
        with line(server, request) as client:
            for part in request.pieces():
                client.send(part)
                if client.has_answer():
                    break
            assert client.answer().code == "malformed_form"
        assert client.sent < 8 * MIB


def test_an_epilogue_that_never_ends_is_refused_soon(server: Server, film: Film) -> None:
    body = chain([chunk(form_of(film()))], repeat(chunk(bytes(30_000))))
    request = Request("POST", FILES, body, FORM | {"Transfer-Encoding": "chunked"})
    assert_refused(server, request, 400, "malformed_form")


# Bodies that end too early


@pytest.mark.parametrize("arrived", [0, 1, 100, 5_000, 200_000, 299_999])
def test_a_put_body_shorter_than_announced_is_refused(server: Server, film: Film, arrived: int) -> None:
    request = put("film.mp4", film()[:arrived], shut=True, Content_Length="300000")
    assert_refused(server, request, 400, "incomplete_body")


@pytest.mark.parametrize("missing", [1, 2, 5, 200_000, 300_000, 300_100])
def test_a_form_body_shorter_than_announced_is_refused(server: Server, film: Film, missing: int) -> None:
    body = form_of(film())
    request = form(body[: len(body) - missing], shut=True, Content_Length=str(len(body)))
    assert_refused(server, request, 400, "incomplete_body")


@pytest.mark.parametrize("missing", [3, 14, 20, 200_000])
def test_a_form_that_ends_before_its_closing_boundary_is_refused(server: Server, film: Film, missing: int) -> None:
    body = form_of(film())
    assert_refused(server, form(body[: len(body) - missing]), 400, "incomplete_body")


@pytest.mark.parametrize("said", [3_000, 150_000])
def test_a_content_length_below_what_the_form_needs_is_refused(server: Server, film: Film, said: int) -> None:
    assert_refused(server, form(form_of(film()), Content_Length=str(said)), 400, "incomplete_body")


@pytest.mark.parametrize("said", ["-1", "ten", "1e3", "1, 2"])
def test_a_content_length_that_is_no_number_is_refused(server: Server, said: str) -> None:
    with nothing_kept(server):
        assert send(server, put("film.mp4", b"", Content_Length=said)).status == 400


def test_a_put_without_any_length_is_refused(server: Server) -> None:
    request = Request("PUT", UPLOAD + "film.mp4", None)
    assert_refused(server, request, 411, "length_required")


CUTS = {
    "nothing": b"",
    "in the first size line": b"c3",
    "after a size line": b"c350\r\n",
    "in a chunk": chunk(bytes(50_000))[:30_000],
    "after a chunk": b"50000 FILM",
    "in a later size line": b"50000 FILM" + b"c3",
    "in a CR LF": b"50000 FILM" + b"c350\r",
    "before the last chunk": b"100000 FILM",
    "in the last chunk": b"100000 FILM" + b"0\r\n",
    "before the last LF": b"100000 FILM" + b"0\r\n\r",
}
BAD_CHUNKS = {
    "a size that is no number": b"50000 FILM" + b"xyz\r\n",
    "a negative size": b"50000 FILM" + b"-5\r\n12345\r\n0\r\n\r\n",
    "a chunk longer than its size": b"50000 FILM" + b"3\r\nabcdef\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("entrance", ["put", "form"])
@pytest.mark.parametrize("cut", [*CUTS, *BAD_CHUNKS])
def test_a_chunked_body_that_was_cut_off_is_refused(server: Server, film: Film, entrance: str, cut: str) -> None:
    whole = film() if entrance == "put" else form_of(film())
    for size in (50_000, 100_000):
        # Of a form, everything: what is missing then is nothing but the end of the chunks.
        known = whole[:size] if entrance == "put" else whole
        body = (CUTS | BAD_CHUNKS)[cut].replace(b"%d FILM" % size, chunk(known))
        if body != (CUTS | BAD_CHUNKS)[cut]:
            break
    headers = {"Transfer-Encoding": "chunked"} | (FORM if entrance == "form" else {})
    method, path = ("PUT", UPLOAD + "film.mp4") if entrance == "put" else ("POST", FILES)
    assert_refused(server, Request(method, path, body, headers, shut=True), 400, "incomplete_body")


@pytest.mark.parametrize("entrance", ["put", "form", "chunked"])
def test_a_client_that_hangs_up_leaves_nothing(server: Server, film: Film, entrance: str) -> None:
    content = film(900_000)
    requests = {
        "put": put("film.mp4", content[:400_000], Content_Length="900000"),
        "form": form(form_of(content)[:400_000], Content_Length="900500"),
        "chunked": chunked("film.mp4", chunk(content[:400_000])),
    }
    key = uuid.uuid4().hex
    with nothing_kept(server), line(server, requests[entrance], key=key) as client:
        for piece in requests[entrance].pieces():
            client.send(piece)
        wait_until(lambda: bool(nameless_bytes(server)))
    ended = [upload for upload in uploads(server, "failed") if upload["key"] == key]
    assert [upload["error"]["code"] for upload in ended] == ["incomplete_body"]


# Digests and codings


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("way", ["plain", "gzip", "chunked", "form"])
def test_a_digest_is_held_against_the_bytes_as_sent(
    server: Server, film: Film, way: str, header: str, algorithm: str
) -> None:
    content = film()
    packed, filled = gzip.compress(content), form_of(content)
    made: dict[str, tuple[bytes, Callable[[str], Request]]] = {
        "plain": (content, lambda said: put("film.mp4", content, **named(header, said))),
        "gzip": (packed, lambda said: put("film.mp4", packed, Content_Encoding="gzip", **named(header, said))),
        "chunked": (content, lambda said: chunked("film.mp4", chunks(content), **named(header, said))),
        "form": (filled, lambda said: form(filled, **named(header, said))),
    }
    as_sent, request = made[way]
    wrong = content if way == "gzip" else as_sent[:-1]
    assert_refused(server, request(digest(wrong, algorithm)), 400, "digest_mismatch")
    answer = send(server, request(digest(as_sent, algorithm)))
    assert (answer.status, answer.json()["sha256"]) == (201, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "said", ["sha-256", "sha-256=abc", "sha-256=:abc:", "sha-256=:AAAA:", "sha-256=::", "=:AAAA:", "sha-256=:AA=AA:"]
)
@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
def test_a_digest_that_cannot_be_read_is_refused(server: Server, film: Film, header: str, said: str) -> None:
    assert_refused(server, put("film.mp4", film(), **named(header, said)), 400, "invalid_digest")
    assert_refused(server, form(form_of(film()), **named(header, said)), 400, "invalid_digest")


def test_a_digest_of_an_unknown_algorithm_is_passed_over(server: Server, film: Film) -> None:
    assert send(server, put("film.mp4", film(), Content_Digest="md5=:AAAA:")).status == 201


@pytest.mark.parametrize("entrance", ["put", "form"])
def test_a_gzip_bomb_goes_off_in_the_limit(server: Server, film: Film, entrance: str) -> None:
    content = film() + bytes(200 * MIB)
    body = gzip.compress(content if entrance == "put" else form_of(content), 9)
    assert len(body) < LIMIT
    request = put("film.mp4", body) if entrance == "put" else form(body)
    request.headers["Content-Encoding"] = "gzip"
    assert_refused(server, request, 413, "too_large")


@pytest.mark.parametrize(
    "spoil",
    [lambda packed: packed[:-1], lambda packed: packed[:-9], lambda packed: packed[:5], lambda packed: b"x" + packed,
     lambda packed: packed[:2000] + b"\0\xff\0\xff" + packed[2004:], lambda packed: packed + b"and more",
     lambda packed: packed[:-8] + b"\0" * 4 + packed[-4:]],
    ids=["last byte", "trailer", "header", "not gzip", "damaged", "more behind it", "wrong checksum"],
)  # fmt: skip
def test_broken_gzip_is_refused(server: Server, film: Film, spoil: Callable[[bytes], bytes]) -> None:
    body = spoil(gzip.compress(film()))
    assert_refused(server, put("film.mp4", body, Content_Encoding="gzip"), 400, "incomplete_body")


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd", "aws-chunked"])
def test_an_unknown_content_encoding_is_refused(server: Server, film: Film, coding: str) -> None:
    assert_refused(server, put("film.mp4", film(), Content_Encoding=coding), 415, "unsupported_coding")
    assert_refused(server, form(form_of(film()), Content_Encoding=coding), 415, "unsupported_coding")


def test_an_encoded_form_part_is_refused(server: Server, film: Film) -> None:
    part = (
        b'Content-Disposition: form-data; name="file"; filename="film.mp4"\r\nContent-Transfer-Encoding: base64\r\n'
    )
    body = b"--b0undary\r\n" + part + b"\r\n" + base64.b64encode(film()) + b"\r\n" + form_end()
    assert_refused(server, form(body), 415, "unsupported_coding")


def test_a_part_of_a_file_is_refused(server: Server, film: Film) -> None:
    assert_refused(server, put("film.mp4", film(), Content_Range="bytes 0-299999/600000"), 400, "invalid_params")


# Sizes


def test_too_large_a_content_length_is_refused_before_the_body(server: Server) -> None:
    # None of the body is ever sent: an answer that waits for it would not come.
    assert_refused(server, put("film.mp4", Content_Length=str(LIMIT + 1)), 413, "too_large")
    assert_refused(server, form(b"", Content_Length=str(10 * LIMIT)), 413, "too_large")


def test_a_body_that_never_ends_is_refused_soon_after_the_limit(server: Server, film: Film) -> None:
    request = chunked("film.mp4", chain([chunk(film())], repeat(chunk(bytes(30_000)))))
    with nothing_kept(server), line(server, request) as client:
        for piece in request.pieces():
            client.send(piece)
            if client.has_answer():
                break
        answer = client.answer()
    assert (answer.status, answer.code) == (413, "too_large")
    assert client.sent < 8 * MIB


WAYS: dict[str, Callable[[bytes], Request]] = {
    "put": lambda content: put("film.mp4", content),
    "form": lambda content: form(form_of(content)),
    "chunked": lambda content: chunked("film.mp4", chunks(content)),
    "chunked form": lambda content: Request(
        "POST", FILES, chunks(form_of(content)), FORM | {"Transfer-Encoding": "chunked"}
    ),
    "gzip": lambda content: put("film.mp4", gzip.compress(content), Content_Encoding="gzip"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_at_the_limit_passes(server: Server, film: Film, way: str) -> None:
    answer = send(server, WAYS[way](film(LIMIT)))
    assert (answer.status, answer.json()["size"]) == (201, LIMIT)


@pytest.mark.parametrize("way", WAYS)
def test_one_byte_over_the_limit_is_refused(server: Server, film: Film, way: str) -> None:
    assert_refused(server, WAYS[way](film(LIMIT + 1)), 413, "too_large")


# What an account may take


@pytest.mark.parametrize("way", WAYS)
def test_what_passes_the_quota_is_refused(start_server: StartServer, film: Film, way: str) -> None:
    server = start_server(QUOTA="1MB")
    assert send(server, put("first.mp4", film(700_000))).status == 201
    assert_refused(server, WAYS[way](film(400_000)), 413, "quota_exceeded")
    assert send(server, put("fits.mp4", film(200_000))).status == 201


@pytest.mark.parametrize("way", WAYS)
def test_uploads_at_once_never_overrun_the_quota_together(start_server: StartServer, film: Film, way: str) -> None:
    server = start_server(QUOTA="1MB")
    requests = [WAYS[way](film(300_000)) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda request: send(server, request), requests))
    kept = sum(answer.status == 201 for answer in answers)
    assert kept <= 3
    assert {answer.code for answer in answers if answer.status != 201} == {"quota_exceeded"}
    # A client that does not say its size is promised all that is left until it ends.
    assert kept == 3 if way in {"put", "form"} else kept >= 1
    assert sum(file["size"] for file in files(server)) == kept * 300_000


def test_more_uploads_at_once_than_allowed_are_refused(start_server: StartServer, film: Film) -> None:
    server = start_server(MAX_UPLOADS_PER_USER="1")
    content = film()
    with line(server, put("slow.mp4", Content_Length="300000")) as slow:
        slow.send(content[:100_000])
        wait_until(lambda: len(uploads(server, "receiving")) == 1)
        for request in (put("second.mp4", film()), form(form_of(film()))):
            answer = send(server, request)
            assert (answer.status, answer.code) == (429, "too_many_uploads")
            assert int(answer.headers["Retry-After"]) > 0
        assert send(server, put("of-another.mp4", film()), user="bob").status == 201
        slow.send(content[100_000:])
        assert slow.answer().status == 201
    assert send(server, put("second.mp4", film())).status == 201


# Clients that take their time


SLOW: dict[str, Callable[[bytes], Request]] = {
    "put": lambda content: put("film.mp4", content, Content_Length="300000"),
    "form": lambda content: form(form_part("file", content, "film.mp4")[:-2], Content_Length="300200"),
    "chunked": lambda content: chunked("film.mp4", chunk(content)),
}


@pytest.mark.parametrize("way", SLOW)
def test_a_client_that_stops_sending_is_refused(start_server: StartServer, film: Film, way: str) -> None:
    server = start_server(UPLOAD_IDLE_TIMEOUT="1s")
    started = time.monotonic()
    assert_refused(server, SLOW[way](film()[:100_000]), 408, "too_slow")
    assert 1 <= time.monotonic() - started < 20  # of a minute, unless it is told otherwise
    assert [upload["error"]["code"] for upload in uploads(server, "failed")] == ["too_slow"]


def test_an_upload_that_takes_too_long_is_refused(start_server: StartServer, film: Film) -> None:
    server = start_server(UPLOAD_TIMEOUT="2s")
    content = film()

    def trickle() -> Iterator[bytes]:
        for start in range(0, len(content), 5_000):
            yield content[start : start + 5_000]
            time.sleep(0.1)

    started = time.monotonic()
    assert_refused(server, put("film.mp4", trickle(), Content_Length="300000"), 408, "too_slow")
    assert 2 <= time.monotonic() - started < 20
    assert [upload["error"]["code"] for upload in uploads(server, "failed")] == ["too_slow"]


# Disks


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], text=True, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a small disk needs root: {done.stderr.strip()}")


SmallDisk = Callable[..., Server]


@pytest.fixture
def on_small_disk(start_server: StartServer) -> Iterator[SmallDisk]:
    """A server whose media folder is a disk of 4 MiB."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root and mount")
    mounted = []

    def start(**settings: str) -> Server:
        server = start_server(**settings)
        marker = next(server.media.glob(".*"))
        content = marker.read_bytes()
        _mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(server.media))
        mounted.append(server.media)
        (server.media / marker.name).write_bytes(content)
        return server

    yield start
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_what_the_disk_has_no_room_for_is_refused_before_the_body(on_small_disk: SmallDisk) -> None:
    server = on_small_disk()
    answer = assert_refused(server, put("film.mp4", Content_Length=str(5 * MIB)), 507, "insufficient_storage")
    assert int(answer.headers["Retry-After"]) > 0


def test_what_would_leave_less_than_min_free_is_refused_before_the_body(on_small_disk: SmallDisk, film: Film) -> None:
    server = on_small_disk(MIN_FREE="2MiB")
    assert_refused(server, put("film.mp4", Content_Length=str(3 * MIB)), 507, "insufficient_storage")
    assert send(server, put("fits.mp4", film(MIB))).status == 201


@pytest.mark.parametrize("way", ["chunked", "chunked form", "gzip"])
def test_what_does_not_say_its_size_is_refused_when_the_room_ends(
    on_small_disk: SmallDisk, film: Film, way: str
) -> None:
    assert_refused(on_small_disk(), WAYS[way](film(5 * MIB)), 507, "insufficient_storage")


def test_two_uploads_do_not_get_the_same_room(on_small_disk: SmallDisk, film: Film) -> None:
    server = on_small_disk()
    content = film(3 * MIB)
    with line(server, put("first.mp4", Content_Length=str(len(content)))) as first:
        first.send(content[:100_000])
        wait_until(lambda: len(uploads(server, "receiving")) == 1)
        second = send(server, put("second.mp4", film(2 * MIB)))
        assert (second.status, second.code) == (507, "insufficient_storage")
        first.send(content[100_000:])
        assert first.answer().status == 201


@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_a_disk_that_somebody_else_fills_is_told_as_full(on_small_disk: SmallDisk, film: Film, way: str) -> None:
    server = on_small_disk()
    content, key = film(3 * MIB), uuid.uuid4().hex
    whole = WAYS[way](content)
    assert isinstance(whole.body, bytes)
    with nothing_kept(server):
        with line(server, whole, key=key) as client:
            client.send(whole.body[:200_000])
            wait_until(lambda: bool(nameless_bytes(server)))
            filler = server.media / ".filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(65536))
            client.send(whole.body[200_000:])
            answer = client.answer()
        filler.unlink()
    assert (answer.status, answer.code) == (507, "insufficient_storage")
    assert send(server, whole, key=key).status == 201


@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_a_disk_that_cannot_be_written_is_told_as_unavailable(on_small_disk: SmallDisk, film: Film, way: str) -> None:
    server = on_small_disk()
    _mount("-o", "remount,ro", str(server.media))
    with nothing_kept(server):
        answer = send(server, WAYS[way](film()))
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("way", ["put", "form", "chunked"])
def test_a_disk_without_our_mark_is_told_as_unavailable(start_server: StartServer, film: Film, way: str) -> None:
    server = start_server()
    next(server.media.glob(".*")).unlink()
    with nothing_kept(server):
        answer = send(server, WAYS[way](film()))
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert server.get("/readyz").status == 503
