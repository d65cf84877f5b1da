"""Our reader of forms against Django's own: whatever the boundary, the content and the cuts, they read the same."""

import hashlib
import io
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser
from django.test import RequestFactory
from django.urls import resolve
from hypothesis import given, settings
from hypothesis import strategies as st
from model_bakery import baker

from tests.support.local_store import own_store
from tests.support.repetitions import MORE
from tests.support.request_bodies import MIB, NotWired, Wire, cut
from tests.support.waiting import wait_until
from uploads.content import hashing, intake
from uploads.content.intake import Content, Intake
from uploads.errors import MalformedForm, Refusal, TooLarge, TooManyFiles, UnsupportedCoding
from uploads.http.body import Body
from uploads.http.multipart import MAX_SILENCE, FormReader
from uploads.http.upload_handler import ReceivedFile
from uploads.sinks.memory import MemorySink
from uploads.transfers.progress import flusher

MEMORY = 2 * 1024**2


@dataclass
class Part:
    name: str
    content: bytes
    filename: str | None = None

    def head(self) -> bytes:
        file = "" if self.filename is None else f'; filename="{_escaped(self.filename)}"\r\nContent-Type: video/mp4'
        return f'Content-Disposition: form-data; name="{_escaped(self.name)}"{file}\r\n\r\n'.encode()


def _escaped(name: str) -> str:
    """As browsers write it: HTML's rules for multipart/form-data."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def form_of(parts: list[Part], boundary: bytes, preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    body = b"".join(b"--" + boundary + b"\r\n" + part.head() + part.content + b"\r\n" for part in parts)
    return preamble + body + b"--" + boundary + b"--" + epilogue


@dataclass
class Read:
    """What somebody read in a form."""

    fields: list[tuple[str, list[str]]]
    file: bytes | None = None
    filename: str | None = None
    field_of_file: str | None = None


@dataclass
class Bench:
    """Opens a real Intake on a MemorySink, and remembers under what name."""

    sink: MemorySink = field(default_factory=MemorySink)
    opened: list[tuple[str, str]] = field(default_factory=list)
    receptions: list["Receiver"] = field(default_factory=list)
    fields_before: list[tuple[str, list[str]]] = field(default_factory=list)

    def admit(self, fields: QueryDict, name: str, filename: str) -> "Receiver":
        self.opened.append((name, filename))
        self.fields_before = [(field, list(values)) for field, values in fields.lists()]
        intake = Intake(self.sink.create(str(uuid.uuid4())), grow=lambda offset: offset + 1024)
        self.receptions.append(Receiver(intake))
        return self.receptions[-1]

    def read(self, boundary: bytes, pieces: Iterator[bytes | memoryview]) -> FormReader:
        form = FormReader(boundary, pieces, max_memory=MEMORY, max_fields=1000)
        if part := form.read_fields():
            form.read_file(self.admit(form.fields, part.field, part.name))
        return form


@dataclass
class Receiver:
    """The part of a Reception that a form needs, without its row."""

    intake: Intake
    content: Content | None = None
    aborted: bool = False
    fed: list[object] = field(default_factory=list)  # what each view was of, None for bytes

    def feed(self, data: bytes | memoryview) -> None:
        self.fed.append(data.obj if isinstance(data, memoryview) else None)
        self.intake.feed(data)

    def seal(self) -> Content:
        self.content = self.intake.finish()
        return self.content

    def abort(self, reason: BaseException | None = None) -> None:
        self.aborted = True
        self.intake.writer.abort()


def ours(boundary: bytes, pieces: Iterator[bytes | memoryview]) -> Read:
    bench = Bench()
    try:
        form = bench.read(boundary, pieces)
    except BaseException:
        assert all(reception.aborted for reception in bench.receptions)
        raise
    read = Read(list(form.fields.lists()))
    if bench.receptions:
        [reception], [(read.field_of_file, read.filename)] = bench.receptions, bench.opened
        reception.intake.writer.commit()
        read.file = bench.sink.open(reception.intake.writer.key).read()
        assert reception.content is not None
        assert reception.content.sha256 == hashlib.sha256(read.file).hexdigest()
    return read


def djangos(boundary: bytes, body: bytes) -> Read:
    quoted = boundary.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    meta = {"CONTENT_TYPE": f'multipart/form-data; boundary="{quoted}"', "CONTENT_LENGTH": str(len(body))}
    parser = MultiPartParser(meta, io.BytesIO(body), [MemoryFileUploadHandler()])
    fields, files = parser.parse()
    read = Read(list(fields.lists()))
    for name in files:
        found: Any = files[name]
        read.field_of_file, read.filename, read.file = name, found.name, found.read()
    return read


# What RFC 2046 allows in a boundary; a space not at its end.
_BCHARS = "0123456789abcXYZ'()+_,-./:=?"
boundaries = st.builds(
    lambda start, end: (start + end).encode(),
    st.text(_BCHARS + " ", max_size=69),
    st.text(_BCHARS, min_size=1, max_size=1),
) | st.sampled_from([b"-", b"--", b"----", b"a", b"aa", b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"-" * 70])


def contents(boundary: bytes) -> st.SearchStrategy[bytes]:
    """Bytes made of what could be taken for a boundary, and is none."""
    look_alikes = [
        b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"-", b"--", b"\r\n-", b"\r\n--", b"\r\n--" + boundary[:-1],
        b"\r--" + boundary[:-1], boundary, boundary[1:], b"-" + boundary, b"\r\n" + boundary, b"\r\n\r\n", b"\0", b"film",  # noqa: E501
    ]  # fmt: skip
    made = st.lists(st.sampled_from(look_alikes) | st.binary(max_size=20), max_size=12).map(b"".join)
    # A form whose content holds its delimiter is no form of these parts.
    return made.filter(lambda content: b"--" + boundary not in b"\r\n" + content + b"\r\n")


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters='\\%;"'), min_size=1, max_size=12
)
file_names = st.builds("{}.mp4".format, st.text("abcXYZ019 _-üß映🎬()[]'!,", min_size=1, max_size=20)).filter(
    lambda name: name == name.strip()
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, list[Part]]:
    boundary = draw(boundaries)
    content = contents(boundary)
    fields = st.lists(
        st.builds(Part, names, content | st.just(b"") | st.text(max_size=20).map(str.encode)), max_size=5
    )
    parts = [part for part in draw(fields) if b"--" + boundary not in b"\r\n" + part.content + b"\r\n"]
    if draw(st.booleans()):
        file = Part(draw(names), draw(content.filter(bool)), draw(file_names))
        parts.insert(draw(st.integers(0, len(parts))), file)
    if draw(st.booleans()):  # a file field that nobody filled in
        parts.insert(draw(st.integers(0, len(parts))), Part(draw(names), b"", ""))
    return boundary, [part for part in parts if b"--" + boundary not in part.head()]


places = st.lists(st.integers(0, 10**6), max_size=20)


@settings(max_examples=400 * MORE, deadline=None)
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


def meant(parts: list[Part]) -> Read:
    fields = QueryDict(mutable=True)
    for part in parts:
        if part.filename is None:
            fields.appendlist(part.name, part.content.decode("utf-8", "replace"))
    read = Read(list(fields.lists()))
    for part in parts:
        if part.filename:
            read.field_of_file, read.filename, read.file = part.name, part.filename, part.content
    return read


@settings(max_examples=100 * MORE, deadline=None)
@given(forms())
def test_a_form_that_comes_byte_by_byte_reads_the_same(form: tuple[bytes, list[Part]]) -> None:
    boundary, parts = form
    body = form_of(parts, boundary)
    assert ours(boundary, (body[at : at + 1] for at in range(len(body)))) == meant(parts)


@settings(max_examples=100 * MORE, deadline=None)
@given(forms(), places)
def test_the_fields_before_the_file_are_there_when_it_is_admitted(
    form: tuple[bytes, list[Part]], places: list[int]
) -> None:
    boundary, parts = form
    bench = Bench()
    bench.read(boundary, cut(form_of(parts, boundary), places))
    at = next((at for at, part in enumerate(parts) if part.filename), 0)
    assert bench.fields_before == meant(parts[:at]).fields


@settings(max_examples=200 * MORE, deadline=None)
@given(forms(), st.integers(0, 10**6), places)
def test_a_form_cut_short_is_refused(form: tuple[bytes, list[Part]], short: int, places: list[int]) -> None:
    boundary, parts = form
    body = form_of(parts, boundary, epilogue=b"")
    with pytest.raises(Refusal):
        ours(boundary, cut(body[: short % len(body)], places))


mutations = st.lists(
    st.tuples(
        st.integers(0, 10**6),  # where
        st.integers(0, 6),  # how many bytes go
        st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"-", b"--", b'"', b";", b":", b"=", b"\\", b"%22", b"\0", b"\xff", b" "])  # noqa: E501
        | st.binary(max_size=4),  # and what comes
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


@settings(max_examples=400 * MORE, deadline=None)
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


@settings(max_examples=200 * MORE, deadline=None)
@given(boundaries, st.binary(max_size=400), places)
def test_any_bytes_at_all_are_refused_or_read(boundary: bytes, body: bytes, places: list[int]) -> None:
    try:
        ours(boundary, cut(body, places))
    except Refusal:
        return


@settings(max_examples=100 * MORE, deadline=None)
@given(forms(), places)
def test_a_preamble_and_an_epilogue_say_nothing(form: tuple[bytes, list[Part]], places: list[int]) -> None:
    boundary, parts = form
    body = form_of(parts, boundary, preamble=b"This is a form.\r\n\r\n", epilogue=b"\r\nThat was it.\r\n--\r\n")
    assert ours(boundary, cut(body, places)) == meant(parts)


# Inside the file, past the parser


@st.composite
def films(draw: st.DrawFn) -> tuple[bytes, list[Part]]:
    """A file of which a part may be skimmed, and something behind it."""
    boundary = draw(boundaries)
    plain = st.integers(0, 300).map(bytes)
    film = b"".join(draw(st.lists(contents(boundary) | plain, min_size=1, max_size=8))) + b"x"
    if b"--" + boundary in b"\r\n" + film:
        film = b"x"
    return boundary, [Part("file", film, "a.mp4"), Part("after", draw(contents(boundary)))]


class LateHelper:
    """Hashes at the last moment at which it may."""

    @dataclass
    class Pending:
        work: Callable[[], None]

        def result(self) -> None:
            self.work()

    def submit(self, work: Callable[[memoryview], None], data: memoryview) -> Pending:
        return self.Pending(lambda: work(data))


@contextmanager
def late_hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(intake, "HEAD_SIZE", 1)  # what is looked at first is hashed from a copy
        patch.setattr(hashing, "CORES", 2)
        patch.setattr(hashing, "PARALLEL_SIZE", 1)
        patch.setattr(hashing, "_helpers", LateHelper())
        patch.setattr(hashing, "_idle_helpers", threading.BoundedSemaphore(1))
        yield


def in_two_buffers(pieces: Iterator[bytes]) -> Iterator[memoryview]:
    """As a body comes off the wire: into one buffer, into the other, into the first again."""
    for buffer, piece in zip(cycle([memoryview(bytearray(8192)) for _ in range(2)]), pieces, strict=False):
        buffer[:] = bytes(len(buffer))
        buffer[: len(piece)] = piece
        yield buffer[: len(piece)]


def each(size: int) -> list[int]:
    """Where to cut for pieces of this size."""
    return list(range(0, 8192, size))


@settings(max_examples=150 * MORE, deadline=None)
@given(films(), places | st.integers(1, 250).map(each))
def test_a_file_is_read_out_of_buffers_that_are_filled_again(
    form: tuple[bytes, list[Part]], places: list[int]
) -> None:
    boundary, parts = form
    with late_hashing(pytest.MonkeyPatch()):
        assert ours(boundary, in_two_buffers(cut(form_of(parts, boundary), places))) == meant(parts)


@pytest.mark.parametrize("boundary", [b"b", b"----WebKitFormBoundary7MA4YWxkTrZu0gW"])
@pytest.mark.parametrize("ending", [b"", b"\r", b"\n", b"\r\n", b"\r\n-", b"\r\n--", b"\r\n--B\r", b"\r\n------Web"])
def test_a_delimiter_is_found_wherever_the_reads_cut_it(
    boundary: bytes, ending: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [Part("file", bytes(200) + ending, "a.mp4"), Part("after", bytes(10))]
    body, delimiter, expected = form_of(parts, boundary), b"\r\n--" + boundary, meant(parts)
    end = body.index(delimiter, 200)
    where = range(end - len(ending) - 1, end + len(delimiter) + 4)
    with late_hashing(monkeypatch):
        for first in where:
            for second in range(first, where.stop):
                places = [end - 150, end - 100, first, second, len(body) - 5]
                assert ours(boundary, in_two_buffers(cut(body, places))) == expected


@pytest.mark.parametrize("size", [100, 400])
def test_the_inside_of_a_file_is_fed_as_it_lies_in_its_buffer(size: int) -> None:
    bench = Bench()
    body = form_of([Part("file", bytes(20 * size), "a.mp4")], b"b")
    bench.read(b"b", in_two_buffers(cut(body, each(size))))
    [reception] = bench.receptions
    views = [buffer for buffer in reception.fed if buffer is not None]
    assert len(views) >= 18
    assert len({id(buffer) for buffer in views}) == 2


@pytest.mark.parametrize(("more", "fits"), [(0, True), (-1, False), (1, False), (-500, False), (500, False)])
def test_a_part_has_the_length_that_its_head_announces(more: int, fits: bool) -> None:
    part = Part("file", bytes(1000), "a.mp4")
    head = part.head()
    announcing = head[:-2] + b"Content-Length: %d\r\n\r\n" % (len(part.content) + more)
    body = form_of([part], b"b").replace(head, announcing)
    if fits:
        assert ours(b"b", in_two_buffers(cut(body, each(100)))) == meant([part])
    else:
        with pytest.raises(MalformedForm):
            ours(b"b", in_two_buffers(cut(body, each(100))))


def test_a_large_form_is_the_same_from_the_wire_and_from_a_server_that_can_only_read() -> None:
    boundary = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
    film = random.Random(4).randbytes(24 * MIB) + b"\r\n--" + boundary[:-1]
    parts = [Part("before", b"x"), Part("file", film, "a.mp4"), Part("after", b"y" * MIB)]
    body = form_of(parts, boundary)
    with Wire(len(body), body[:1000]) as wire:
        sender = threading.Thread(target=wire.client.sendall, args=[body[1000:]])
        sender.start()
        read = ours(boundary, Body(wire.environ, idle_timeout=5).pieces())
        sender.join()
    portable = {"wsgi.input": NotWired(body), "CONTENT_LENGTH": str(len(body))}
    assert read == ours(boundary, Body(portable, idle_timeout=5).pieces()) == meant(parts)


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
    own_store(settings, tmp_path / "media")
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
