"""The words of tus 1.0, read and written."""

import base64
import hashlib
import re
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.content.digests import Claims
from uploads.errors import InvalidDigest, InvalidParams, Refusal, UnsupportedVersion
from uploads.http import tus_headers

KEYS = st.text(sorted(set(string.printable) - set(string.whitespace) - {","}), min_size=1)
PATCH = {"Content-Type": tus_headers.CONTENT_TYPE, "Upload-Offset": "0"}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# The version


def test_our_version_passes() -> None:
    tus_headers.require_version({"Tus-Resumable": "1.0.0"})


@pytest.mark.parametrize("headers", [{}, *({"Tus-Resumable": said} for said in ("", "1.0", "1.0.1", "1.0.0,0.2"))])
def test_any_other_version_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedVersion):
        tus_headers.require_version(headers)


# Creation


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({"Upload-Length": "1"}, 1),
        ({"Upload-Length": "007"}, 7),
        ({"Upload-Length": "999999999999999999"}, 10**18 - 1),
        ({"Upload-Defer-Length": "1"}, None),
    ],
)
def test_a_creation_says_its_length_or_that_it_will(headers: dict[str, str], length: int | None) -> None:
    said = tus_headers.read_creation(headers)
    assert (said.length, said.name, said.metadata, said.has_body) == (length, "unnamed", "", False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload-Length": "5", "Upload-Defer-Length": "1"},
        *({"Upload-Defer-Length": said} for said in ("", "0", "2", "01", "true")),
        *({"Upload-Length": said} for said in ("", "-1", "+1", "1.0", "1e3", "0x1", "1_0", "1 0", "\xb2", "9" * 19)),
        {"Upload-Length": "5", "Upload-Metadata": "a *"},
        {"Upload-Length": "5", "Upload-Concat": "partial"},
        {"Upload-Concat": "final;/api/v1/uploads/1"},
    ],
)  # fmt: skip
def test_a_creation_that_cannot_be_read_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidParams):
        tus_headers.read_creation(headers)


@pytest.mark.parametrize(
    ("headers", "has_body"),
    [
        ({}, False),
        ({"Content-Length": "0"}, False),
        ({"Content-Length": ""}, False),  # as WSGI has it where none came
        ({"Content-Length": "5"}, True),
        ({"Transfer-Encoding": "chunked"}, True),
    ],
)
def test_a_creation_may_bring_bytes(headers: dict[str, str], has_body: bool) -> None:
    headers = {"Upload-Length": "5", "Content-Type": tus_headers.CONTENT_TYPE, **headers}
    assert tus_headers.read_creation(headers).has_body is has_body


def test_a_creation_that_brings_something_else_is_refused() -> None:
    length = {"Upload-Length": "5", "Content-Type": "video/mp4"}
    tus_headers.read_creation(length)  # without a body its type means nothing
    with pytest.raises(Refusal, match=re.escape(tus_headers.CONTENT_TYPE)):
        tus_headers.read_creation({**length, "Content-Length": "5"})


# Metadata


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", {}),
        ("a", {"a": b""}),
        ("a ", {"a": b""}),
        ("a YQ==", {"a": b"a"}),
        ("a YQ==,b Yg==", {"a": b"a", "b": b"b"}),
        ("a YQ==, b Yg==", {"a": b"a", "b": b"b"}),
        ("a,b ,c Yw==", {"a": b"", "b": b"", "c": b"c"}),
        ("a /w==", {"a": b"\xff"}),
        ("A YQ==,a YQ==", {"A": b"a", "a": b"a"}),
    ],
)
def test_metadata_is_read(said: str, found: dict[str, bytes]) -> None:
    assert tus_headers.parse_metadata(said) == found


@pytest.mark.parametrize(
    "said",
    [",", "a YQ==,", ",a YQ==", "a YQ==,,b Yg==", "a YQ==,a YQ==", "a,a", "a YQ", "a Y", "a %%", "a YQ== Yg==",
     "a Y Q==", "ä YQ==", "a\x7f YQ==", "a é"],
)  # fmt: skip
def test_metadata_that_cannot_be_read_is_refused(said: str) -> None:
    with pytest.raises(InvalidParams):
        tus_headers.parse_metadata(said)


@given(st.dictionaries(KEYS, st.binary()))
def test_metadata_comes_back_as_it_was_written(values: dict[str, bytes]) -> None:
    said = ",".join(f"{key} {base64_of(value)}" for key, value in values.items())
    assert tus_headers.parse_metadata(said) == values


@given(st.text())
def test_whatever_metadata_says_it_is_read_or_refused(said: str) -> None:
    try:
        found = tus_headers.parse_metadata(said)
    except InvalidParams:
        return
    assert all(key.isascii() and key.isprintable() and "," not in key and " " not in key for key in found)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"filename": b"a.mp4"}, "a.mp4"),
        ({"name": b"b.mp4"}, "b.mp4"),
        ({"name": b"b.mp4", "filename": b"a.mp4"}, "a.mp4"),
        ({"name": b"b.mp4", "filename": b""}, "b.mp4"),
        ({"filename": "Füße.mp4".encode()}, "Füße.mp4"),
        ({"filename": b"\xff.mp4"}, "\ufffd.mp4"),
        ({"filename": b""}, "unnamed"),
        ({"type": b"video/mp4"}, "unnamed"),
    ],
)
def test_metadata_has_the_name(values: dict[str, bytes], name: str) -> None:
    said = ",".join(f"{key} {base64_of(value)}" for key, value in values.items())
    creation = tus_headers.read_creation({"Upload-Length": "5", "Upload-Metadata": said})
    assert (creation.name, creation.metadata) == (name, said.strip())


# Pieces


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (0, None, [])),
        ({"Upload-Offset": "5"}, (5, None, [])),
        ({"Upload-Length": "7"}, (0, 7, [])),
        ({"Content-Type": "Application/Offset+Octet-Stream; x=y"}, (0, None, [])),
    ],
)
def test_a_piece_says_where_it_belongs(
    headers: dict[str, str], expected: tuple[int, int | None, list[tuple[str, bytes]]]
) -> None:
    said = tus_headers.read_patch({**PATCH, **headers})
    assert (said.offset, said.length, said.claims.expected) == expected


@pytest.mark.parametrize(
    "headers",
    [*({"Upload-Offset": said} for said in ("", "-1", "+1", "1.0", "many", "\xb9")), {"Upload-Length": "x"}],
)
def test_a_piece_that_does_not_say_where_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidParams):
        tus_headers.read_patch({**PATCH, **headers})


def test_a_piece_without_an_offset_is_refused() -> None:
    with pytest.raises(InvalidParams, match="Upload-Offset"):
        tus_headers.read_patch({"Content-Type": tus_headers.CONTENT_TYPE})


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "application/offset+octet-stream+x"])
def test_a_piece_of_another_type_is_refused(content_type: str) -> None:
    with pytest.raises(Refusal) as refused:
        tus_headers.read_patch({**PATCH, "Content-Type": content_type})
    assert refused.value.code == "unsupported_request"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_checksum_is_read_and_judges(algorithm: str) -> None:
    claim = {"Upload-Checksum": f"{algorithm} {base64_of(hashlib.new(algorithm, b'bytes').digest())}"}
    assert verdict(tus_headers.parse_checksum(claim), b"bytes") is None
    refusal = verdict(tus_headers.parse_checksum(claim), b"bytez")
    assert refusal is not None
    assert refusal.code == "digest_mismatch"


def verdict(claims: Claims, data: bytes) -> Refusal | None:
    claims.update(data)
    try:
        claims.verify()
    except Refusal as refusal:
        return refusal
    return None


def test_a_checksum_may_be_absent() -> None:
    assert not tus_headers.parse_checksum({})


@pytest.mark.parametrize(
    "said",
    ["", " ", "sha1", "sha1 ", "sha1 *", "sha512 " + base64_of(bytes(64)), "crc32 AAAAAA==", base64_of(bytes(20)),
     "sha1 " + base64_of(bytes(19)), "sha1 " + base64_of(bytes(21)), "sha256 " + base64_of(bytes(20)),
     "md5 " + base64_of(bytes(20)), "sha1 " + base64_of(bytes(20)).rstrip("="),
     "sha1 " + base64_of(bytes(20)) + " " + base64_of(bytes(20)), "sha1:" + base64_of(bytes(20)), "sha1 é"],
)  # fmt: skip
def test_a_checksum_that_cannot_be_read_is_refused(said: str) -> None:
    with pytest.raises((InvalidParams, InvalidDigest)):
        tus_headers.parse_checksum({"Upload-Checksum": said})


# Answers


def test_progress_is_told_with_its_end_as_http_writes_dates() -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert tus_headers.progress(7, moment) == {
        "Upload-Offset": "7",
        "Upload-Expires": "Wed, 02 Jan 2030 03:04:05 GMT",
    }
    assert tus_headers.progress(7, None) == {"Upload-Offset": "7"}


def test_an_upload_is_described_as_it_was_announced() -> None:
    assert tus_headers.description(5, "a YQ==") == {"Upload-Length": "5", "Upload-Metadata": "a YQ=="}
    assert tus_headers.description(None, "") == {"Upload-Defer-Length": "1"}
