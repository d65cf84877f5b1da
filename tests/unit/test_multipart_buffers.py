"""A file in a form is read past the parser, out of buffers that are filled again, and reads the same."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.multipart_forms import Part, boundaries, contents, form_of, places
from tests.support.multipart_readers import Bench, meant, ours
from tests.support.repetitions import MORE
from tests.support.request_bodies import MIB, NotWired, Wire, cut
from uploads.content import hashing, intake
from uploads.errors import MalformedForm
from uploads.http.body import Body


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


@settings(max_examples=37 * MORE, deadline=None)
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
