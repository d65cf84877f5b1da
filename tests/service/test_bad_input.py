"""Every kind of bad input gets its status and its stable code, and nothing of it is kept."""

import base64
import gzip
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest

from tests.support.raw_requests import (
    FILES,
    FORM,
    UPLOAD,
    WAYS,
    Request,
    chunk,
    chunked,
    chunks,
    form,
    form_of,
    line,
    named,
    put,
    send,
)
from tests.support.refused_requests import assert_refused, nameless_bytes, nothing_kept, uploads
from tests.support.request_bodies import claim as digest
from tests.support.running_servers import running
from tests.support.server import Server, Template, form_end, form_part
from tests.support.waiting import wait_until

MIB = 1024**2
LIMIT = MIB  # MAX_FILE_SIZE of the server below

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, MAX_FILE_SIZE=str(LIMIT)) as made:
        yield made


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


@pytest.mark.local_disk
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


@pytest.mark.parametrize("way", WAYS)
def test_a_file_at_the_limit_passes(server: Server, film: Film, way: str) -> None:
    answer = send(server, WAYS[way](film(LIMIT)))
    assert (answer.status, answer.json()["size"]) == (201, LIMIT)


@pytest.mark.parametrize("way", WAYS)
def test_one_byte_over_the_limit_is_refused(server: Server, film: Film, way: str) -> None:
    assert_refused(server, WAYS[way](film(LIMIT + 1)), 413, "too_large")
