"""The body as it comes off the wire: announced, cut, claimed, gzipped."""

import gzip
import io
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.repetitions import MORE
from tests.support.request_bodies import claim, cut
from uploads.content.digests import parse_claims
from uploads.errors import DigestMismatch, IncompleteBody, LengthRequired, Refusal, TooSlow, UnsupportedCoding
from uploads.http.body import PIECE, Body, gunzip, is_chunked


def body(content: bytes, *, claims: str = "", stream: object = None, **environ: Any) -> Body:
    announced = {"CONTENT_LENGTH": str(len(content)), "wsgi.input": stream or io.BytesIO(content)}
    return Body(announced | environ, idle_timeout=1, claims=parse_claims({"Content-Digest": claims}))


class Broken(io.RawIOBase):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error


def test_the_body_comes_as_it_was_sent() -> None:
    content = bytes(range(256)) * 1000
    pieces = list(body(content).pieces())
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE


def test_no_byte_behind_the_announced_ones_is_read() -> None:
    stream = io.BytesIO(b"filmGET / HTTP/1.1")
    assert b"".join(body(b"", CONTENT_LENGTH="4", stream=stream).pieces()) == b"film"
    assert stream.tell() == 4


def test_a_body_shorter_than_announced_is_incomplete() -> None:
    with pytest.raises(IncompleteBody, match="has 4 bytes, but 10 were announced"):
        list(body(b"film", CONTENT_LENGTH="10").pieces())


@pytest.mark.parametrize(("error", "refusal"), [(TimeoutError(), TooSlow), (ConnectionError(), IncompleteBody),
                                                (ValueError("bad chunk"), IncompleteBody)])  # fmt: skip
def test_a_wire_that_fails_is_a_refusal(error: Exception, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        list(body(b"film", stream=Broken(error)).pieces())


@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": ""}])
def test_a_body_of_unknown_length_is_refused_unless_it_is_chunked(length: dict[str, str]) -> None:
    with pytest.raises(LengthRequired):
        Body({"wsgi.input": io.BytesIO(b"film"), **length}, idle_timeout=1)


def test_a_chunked_body_is_read_to_its_end() -> None:
    environ = {"wsgi.input": io.BytesIO(b"film" * 50_000), "HTTP_TRANSFER_ENCODING": "chunked"}
    assert not is_chunked(environ)  # this server does not tell us where the body ends
    chunked = Body(environ | {"wsgi.input_terminated": True}, idle_timeout=1)
    assert chunked.length is None
    assert b"".join(chunked.pieces()) == b"film" * 50_000


def test_a_true_claim_passes_and_a_false_one_does_not() -> None:
    assert b"".join(body(b"film", claims=claim(b"film")).pieces()) == b"film"
    with pytest.raises(DigestMismatch):
        list(body(b"film", claims=claim(b"another")).pieces())


def test_a_claim_is_about_the_bytes_as_they_were_sent() -> None:
    sent = gzip.compress(b"film")
    assert b"".join(body(sent, claims=claim(sent), HTTP_CONTENT_ENCODING="gzip").content()) == b"film"
    with pytest.raises(DigestMismatch):
        list(body(sent, claims=claim(b"film"), HTTP_CONTENT_ENCODING="gzip").content())


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", " GZIP "])
def test_gzip_is_undone(coding: str) -> None:
    coded = body(gzip.compress(b"film"), HTTP_CONTENT_ENCODING=coding)
    assert coded.is_coded
    assert b"".join(coded.content()) == b"film"


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
def test_what_is_not_coded_passes_as_it_is(coding: str) -> None:
    assert b"".join(body(b"film", HTTP_CONTENT_ENCODING=coding).content()) == b"film"


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br", "*"])
def test_another_coding_is_refused_before_a_byte_is_read(coding: str) -> None:
    stream = io.BytesIO(b"film")
    with pytest.raises(UnsupportedCoding):
        body(b"film", HTTP_CONTENT_ENCODING=coding, stream=stream).content()
    assert stream.tell() == 0


places = st.lists(st.integers(0, 10**6), max_size=12)
contents = st.binary(max_size=300) | st.builds(
    lambda unit, times: unit * times, st.binary(max_size=9), st.integers(0, 40_000)
)


@settings(max_examples=75 * MORE, deadline=None)
@given(st.lists(contents, min_size=1, max_size=4), st.integers(0, 9), places)
def test_gzip_is_undone_however_it_was_cut_and_of_however_many_members(
    members: list[bytes], level: int, places: list[int]
) -> None:
    sent = b"".join(gzip.compress(member, level) for member in members)
    assert b"".join(gunzip(cut(sent, places))) == b"".join(members)


def test_gzip_that_comes_byte_by_byte_is_undone() -> None:
    content = b"film" * 30_000
    sent = gzip.compress(content) + gzip.compress(b"") + gzip.compress(b"end")
    assert b"".join(gunzip(sent[at : at + 1] for at in range(len(sent)))) == content + b"end"


@settings(max_examples=75 * MORE, deadline=None)
@given(contents, st.integers(1, 10**6), places)
def test_gzip_that_was_cut_short_is_incomplete(content: bytes, short: int, places: list[int]) -> None:
    sent = gzip.compress(content)
    sent = sent[: 1 + short % (len(sent) - 1)] if short % (len(sent) - 1) else sent[:1]
    with pytest.raises(IncompleteBody):
        list(gunzip(cut(sent, places)))


@settings(max_examples=75 * MORE, deadline=None)
@given(contents, st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=3), places)
def test_damaged_gzip_is_refused_or_says_what_zlib_says(
    content: bytes, damages: list[tuple[int, int]], places: list[int]
) -> None:
    sent = bytearray(gzip.compress(content))
    for at, flip in damages:
        sent[at % len(sent)] ^= flip
    try:
        found = b"".join(gunzip(cut(bytes(sent), places)))
    except IncompleteBody:
        return
    assert found == gzip.decompress(bytes(sent))


@pytest.mark.parametrize(
    "junk", [b"no gzip", b"\0\0", b"\x1f\x8b\x07", zlib.compress(b"film"), gzip.compress(b"film", mtime=0) + b"junk"]
)
def test_what_is_no_gzip_is_refused(junk: bytes) -> None:
    with pytest.raises(IncompleteBody):
        list(gunzip(iter([junk])))


def test_a_bomb_goes_off_a_piece_at_a_time() -> None:
    bomb = gzip.compress(bytes(64 * 1024**2), 9)
    assert len(bomb) < 75_000
    tracemalloc.start()
    try:
        largest = max(len(piece) for piece, _ in zip(gunzip(iter([bomb])), range(500), strict=False))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert largest <= PIECE
    assert peak < len(bomb) * 3 + 10 * PIECE
