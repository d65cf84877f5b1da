"""Our reader of forms against Django's own: whatever the boundary, the content and the cuts, they read the same."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import resolve
from hypothesis import given, settings
from hypothesis import strategies as st
from model_bakery import baker

from tests.support.local_store import own_disk
from tests.support.multipart_forms import Part, boundaries, form_of, forms, mutations, places
from tests.support.multipart_readers import MEMORY, Bench, Read, djangos, meant, ours
from tests.support.repetitions import MORE
from tests.support.request_bodies import cut
from tests.support.waiting import wait_until
from uploads.errors import MalformedForm, Refusal, TooLarge, TooManyFiles, UnsupportedCoding
from uploads.http.multipart import MAX_SILENCE
from uploads.http.upload_handler import ReceivedFile
from uploads.transfers.progress import flusher


@settings(max_examples=100 * MORE, deadline=None)
@given(forms(), places)
def test_a_form_reads_as_django_reads_it_and_as_it_was_meant(
    form: tuple[bytes, list[Part]], places: list[int]
) -> None:
    boundary, parts = form
    body = form_of(parts, boundary)
    read = ours(boundary, cut(body, places))
    assert read == meant(parts)
    if all(part.filename != "" for part in parts):  # which Django takes for an empty field: see below
        assert read == djangos(boundary, body)


@settings(max_examples=30 * MORE, deadline=None)
@given(forms())
def test_a_form_that_comes_byte_by_byte_reads_the_same(form: tuple[bytes, list[Part]]) -> None:
    boundary, parts = form
    body = form_of(parts, boundary)
    assert ours(boundary, (body[at : at + 1] for at in range(len(body)))) == meant(parts)


@settings(max_examples=30 * MORE, deadline=None)
@given(forms(), places)
def test_the_fields_before_the_file_are_there_when_it_is_admitted(
    form: tuple[bytes, list[Part]], places: list[int]
) -> None:
    boundary, parts = form
    bench = Bench()
    bench.read(boundary, cut(form_of(parts, boundary), places))
    at = next((at for at, part in enumerate(parts) if part.filename), 0)
    assert bench.fields_before == meant(parts[:at]).fields


@settings(max_examples=50 * MORE, deadline=None)
@given(forms(), st.integers(0, 10**6), places)
def test_a_form_cut_short_is_refused(form: tuple[bytes, list[Part]], short: int, places: list[int]) -> None:
    boundary, parts = form
    body = form_of(parts, boundary, epilogue=b"")
    with pytest.raises(Refusal):
        ours(boundary, cut(body[: short % len(body)], places))


@settings(max_examples=100 * MORE, deadline=None)
@given(forms(), mutations, places)
def test_a_damaged_form_is_refused_or_its_file_is_what_django_reads(
    form: tuple[bytes, list[Part]], mutations: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    boundary, parts = form
    body = form_of(parts, boundary)
    for at, gone, come in mutations:
        start = at % (len(body) + 1)
        body = body[:start] + come + body[start + gone :]
    try:
        read = ours(boundary, cut(body, places))
    except Refusal:
        return
    if is_within_the_oracle(boundary, body, parts):
        oracle = djangos(boundary, body)
        assert read.file == oracle.file
        assert [values for _, values in read.fields] == [values for _, values in oracle.fields]


def is_within_the_oracle(boundary: bytes, body: bytes, parts: list[Part]) -> bool:
    """Where our parser and Django agree on what a damaged form says, if it says anything.

    Django takes a preamble and an epilogue for parts, a boundary within a line for a boundary, one right behind a
    head's empty line too, and a file without a name for a field. And a Content-Disposition with a quote too many
    is anybody's guess.
    """
    before, *between, end = body.split(b"--" + boundary)
    heads = tuple(b"\r\n" + part.head().partition(b"\r\n")[0] + b"\r\n" for part in parts if part.filename != "")
    return (not before and end.strip() == b"--") and all(
        piece.startswith(heads) and piece.endswith(b"\r\n") and b"\r\n\r\n" in piece[:-2] for piece in between
    )


@settings(max_examples=50 * MORE, deadline=None)
@given(boundaries, st.binary(max_size=400), places)
def test_any_bytes_at_all_are_refused_or_read(boundary: bytes, body: bytes, places: list[int]) -> None:
    try:
        ours(boundary, cut(body, places))
    except Refusal:
        return


@settings(max_examples=30 * MORE, deadline=None)
@given(forms(), places)
def test_a_preamble_and_an_epilogue_say_nothing(form: tuple[bytes, list[Part]], places: list[int]) -> None:
    boundary, parts = form
    body = form_of(parts, boundary, preamble=b"This is a form.\r\n\r\n", epilogue=b"\r\nThat was it.\r\n--\r\n")
    assert ours(boundary, cut(body, places)) == meant(parts)


def small(*parts: Part, boundary: bytes = b"b") -> Iterator[bytes]:
    return iter([form_of(list(parts), boundary)])


def test_a_boundary_in_the_middle_of_a_line_is_content() -> None:
    assert ours(b"b", small(Part("file", b"x--b\r\ny\n--b--", "a.mp4"))).file == b"x--b\r\ny\n--b--"


def test_a_file_field_that_nobody_filled_in_is_neither_a_file_nor_a_field() -> None:
    assert ours(b"b", small(Part("file", b"", ""), Part("a", b"x"))) == Read([("a", ["x"])])


def test_a_second_file_is_refused() -> None:
    with pytest.raises(TooManyFiles):
        ours(b"b", small(Part("file", b"film", "a.mp4"), Part("file", b"film", "b.mp4")))


@pytest.mark.parametrize("name", ['name=""', "", "name"])
def test_a_part_without_a_name_is_refused(name: str) -> None:
    body = f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\nx\r\n--b--\r\n"
    with pytest.raises(MalformedForm):
        ours(b"b", iter([body.encode()]))


@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "x-anything"])
def test_a_part_in_a_coding_is_refused(coding: str) -> None:
    head = f'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: {coding}\r\n\r\n'
    with pytest.raises(UnsupportedCoding):
        ours(b"b", iter([head.encode() + b"x\r\n--b--\r\n"]))


def test_fields_larger_than_the_memory_for_them_are_refused() -> None:
    with pytest.raises(TooLarge):
        ours(b"b", small(Part("a", bytes(MEMORY)), Part("b", b"x")))


def test_a_file_counts_nothing_against_the_memory_for_fields() -> None:
    read = ours(b"b", small(Part("file", bytes(MEMORY * 2), "a.mp4"), Part("a", b"x")))
    assert read.file == bytes(MEMORY * 2)


def test_more_parts_than_are_allowed_are_refused() -> None:
    with pytest.raises(MalformedForm):
        ours(b"b", small(*[Part("a", b"") for _ in range(1001)]))


@pytest.mark.parametrize("where", ["preamble", "epilogue"])
def test_gigabytes_of_nothing_are_refused_after_the_first_of_them(where: str) -> None:
    sent = 0

    def silence() -> Iterator[bytes]:
        nonlocal sent
        yield form_of([Part("a", b"x")], b"b") if where == "epilogue" else b"\r\n"
        while True:
            sent += 1024
            yield b"x" * 1024

    with pytest.raises(MalformedForm, match="boundary"):
        ours(b"b", silence())
    assert sent <= MAX_SILENCE + 1024


def test_a_file_that_is_empty_is_refused_and_aborted() -> None:
    with pytest.raises(Refusal, match="empty"):
        ours(b"b", small(Part("file", b"", "a.mp4")))


@pytest.fixture
def ready(db: None, settings: Any, tmp_path: Path) -> Iterator[None]:
    own_disk(settings, tmp_path / "media")
    yield
    wait_until(lambda: flusher._thread is None)  # it may use the database no longer than this test


def request_with(boundary: bytes, body: bytes, user: User) -> HttpRequest:
    path = "/api/v1/files/"
    quoted = boundary.decode("ascii")
    request = RequestFactory().post(path, body, content_type=f'multipart/form-data; boundary="{quoted}"')
    request.resolver_match = resolve(path)
    request.user = user
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    return request


@pytest.mark.django_db
@pytest.mark.parametrize("boundary", [b"b0undary", b"a 'quoted' (one)", b"----WebKitFormBoundary7MA4YWxkTrZu0gW"])
def test_the_handler_reads_what_the_reader_reads(boundary: bytes, ready: None, clip: bytes, settings: Any) -> None:
    parts = [
        Part("before", "für".encode()),
        Part("file", clip + b"\r\n--" + boundary[:-1], "Ein Film.mp4"),
        Part("after", b""),
        Part("before", b"\r\n--" + boundary[:-1]),
    ]
    body = form_of(parts, boundary)
    user: User = baker.make(User, is_active=True)
    request = request_with(boundary, body, user)
    received = request.FILES["file"]
    assert isinstance(received, ReceivedFile)
    assert (received.name, received.size) == ("Ein Film.mp4", len(parts[1].content))
    assert list(request.POST.lists()) == djangos(boundary, body).fields == meant(parts).fields
    file = received.reception.commit()
    assert file.blob.sha256 == hashlib.sha256(parts[1].content).hexdigest()
    assert file.owner == user
    request.close()


@pytest.mark.django_db
def test_the_handler_keeps_nothing_of_a_form_that_nobody_commits(ready: None, clip: bytes, settings: Any) -> None:
    user: User = baker.make(User, is_active=True)
    before = bytes_on_disk(settings)
    request = request_with(b"b", form_of([Part("file", clip, "a.mp4")], b"b"), user)
    reception = cast(ReceivedFile, request.FILES["file"]).reception
    request.close()
    reception.upload.refresh_from_db()
    assert (reception.upload.state, reception.upload.error_code) == ("failed", "abandoned")
    assert bytes_on_disk(settings) == before


def bytes_on_disk(settings: Any) -> set[Path]:
    return {path for path in Path(settings.UPLOADS.media_root).rglob("*") if path.is_file()}
