"""Random access to bytes that come in ranges, as from an object store."""

import io
import random
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sinks import KEY, keep
from uploads.sinks.memory import MemorySink
from uploads.sinks.seekable_reader import SeekableReader

CONTENT = random.Random(5).randbytes(3_000_000)


class Ranges:
    """Opens ranges of the content, and remembers them."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.sink, self.asked = MemorySink(), list[tuple[int, int]]()
        keep(self.sink, KEY, content)

    def open(self, start: int, end: int) -> BinaryIO:
        self.asked.append((start, end))
        return self.sink.open(KEY, start, end)

    @property
    def bytes(self) -> int:
        return sum(end - start for start, end in self.asked)


@pytest.fixture
def ranges() -> Ranges:
    return Ranges()


@pytest.fixture
def file(ranges: Ranges) -> io.BufferedReader:
    return io.BufferedReader(SeekableReader(ranges.open, len(CONTENT)), 32 * 1024)


POSITIONS = st.integers(-400, 400)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), POSITIONS, st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])),
        st.tuples(st.just("read"), st.integers(-1, 300), st.just(0)),
        st.tuples(st.just("readline"), st.just(-1), st.just(0)),
    ),
    max_size=30,
)


@given(content=st.binary(max_size=300), steps=STEPS)
def test_it_reads_and_seeks_as_a_file_does(content: bytes, steps: list[tuple[str, int, int]]) -> None:
    plain, file = io.BytesIO(content), SeekableReader(Ranges(content).open, len(content))
    for step, number, whence in steps:
        if step != "seek":
            assert getattr(file, step)(number) == getattr(plain, step)(number)
        elif {io.SEEK_SET: 0, io.SEEK_CUR: plain.tell(), io.SEEK_END: len(content)}[whence] + number < 0:
            with pytest.raises(ValueError):
                file.seek(number, whence)
        else:
            assert file.seek(number, whence) == plain.seek(number, whence)
        assert file.tell() == plain.tell()


def test_few_bytes_from_the_end_fetch_few_bytes(file: io.BufferedReader, ranges: Ranges) -> None:
    file.seek(-10, io.SEEK_END)
    assert file.read(10) == CONTENT[-10:]
    assert ranges.bytes == 10


def test_a_jump_fetches_little_wherever_it_leads(file: io.BufferedReader, ranges: Ranges) -> None:
    for start in (0, 2_000_000, 1_000_000, 1_500_000):
        file.seek(start)
        assert file.read(10) == CONTENT[start : start + 10]
    assert (len(ranges.asked), ranges.bytes) == (4, 4 * 32 * 1024)


def test_reading_on_asks_for_ranges_twice_as_long_each_time(file: io.BufferedReader, ranges: Ranges) -> None:
    pieces = []
    while piece := file.read(10_000):
        pieces.append(piece)
    assert b"".join(pieces) == CONTENT
    assert len(ranges.asked) == 7  # 32 KB, 64, 128, …
    assert ranges.bytes == len(CONTENT)


@pytest.mark.parametrize("start", [0, 1_000_000])
def test_the_whole_rest_is_one_request(file: io.BufferedReader, ranges: Ranges, start: int) -> None:
    file.seek(start)
    assert file.read() == CONTENT[start:]
    assert ranges.asked == [(start, len(CONTENT))]


def test_nothing_is_asked_before_the_first_read_or_behind_the_end(file: io.BufferedReader, ranges: Ranges) -> None:
    file.seek(5_000_000)
    assert (file.read(10), file.read(), ranges.asked) == (b"", b"", [])


def test_a_store_that_has_fewer_bytes_than_the_row_says_is_an_error() -> None:
    ranges = Ranges(b"short")
    with pytest.raises(OSError, match="has 5 bytes in the store, and should have 10"):
        SeekableReader(ranges.open, 10).readall()


def test_a_closed_file_is_not_read() -> None:
    file = SeekableReader(Ranges().open, len(CONTENT))
    file.read(10)
    file.close()
    with pytest.raises(ValueError):
        file.read(10)
