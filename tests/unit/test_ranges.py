import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.repetitions import MORE
from uploads.http.byte_ranges import ByteRange, Unsatisfiable, parse_range

SIZE = 100


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=0-", 0, 100),
        ("bytes=99-", 99, 100),
        ("bytes=99-99", 99, 100),
        ("bytes=10-19", 10, 20),
        ("bytes=90-1000", 90, 100),
        ("bytes=90-99999999999999999999", 90, 100),
        ("bytes=007-008", 7, 9),
        ("bytes=-1", 99, 100),
        ("bytes=-100", 0, 100),
        ("bytes=-200", 0, 100),
        ("BYTES=1-2", 1, 3),
        ("  bytes=1-2 \t", 1, 3),
        ("bytes = 1-2", 1, 3),
    ],
)
def test_one_range_is_answered_with_its_bytes(header: str, start: int, stop: int) -> None:
    assert parse_range(header, SIZE) == ByteRange(start, stop)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-100", "bytes=1000-2000", "bytes=-0", "bytes=-00"])
def test_a_range_past_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, SIZE)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0", "bytes=5-"])
def test_an_empty_content_satisfies_no_range(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 0)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "abc",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=abc",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=1- 2",
        "bytes=1-2x",
        "bytes=0x1-0x2",
        "bytes=1_0-2_0",
        "bytes=١-٢",
        "bytes=²-³",
        "bytes=20-10",
        "bytes=0-1,5-6",
        "bytes=0-1,",
        "bytes=,0-1",
        "items=0-1",
        "seconds=0-1",
        "bytes:0-1",
        "bytes=0-1\0",
        "bytes=\r\n0-1",
    ],
    ids=repr,
)
def test_anything_else_is_answered_with_the_whole(header: str) -> None:
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize("header", [f"bytes={'9' * 10_000}-", f"bytes=-{'9' * 10_000}", f"bytes=0-{'9' * 10_000}"])
def test_ten_thousand_digits_cost_nothing(header: str) -> None:
    began = time.process_time()
    assert parse_range(header, SIZE) is None
    assert time.process_time() - began < 0.05


def test_a_range_says_what_it_is() -> None:
    assert len(ByteRange(10, 20)) == 10
    assert ByteRange(10, 20).content_range(SIZE) == "bytes 10-19/100"


def naive(header: str, size: int) -> range | str:
    """RFC 9110, 14.1.1 and 14.1.2, word by word: the bytes to send, "whole" or "unsatisfiable"."""
    unit, equals, ranges = header.partition("=")
    if unit.lower() != "bytes" or not equals or "," in ranges:
        return "whole"
    first, dash, last = ranges.partition("-")
    if not dash or not re.fullmatch("[0-9]*", first) or not re.fullmatch("[0-9]*", last) or not (first or last):
        return "whole"
    if not first:
        wanted = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return "whole"
    else:
        wanted = range(int(first), min(int(last) + 1, size) if last else size)
    return wanted or "unsatisfiable"


def answer(header: str, size: int) -> range | str:
    try:
        found = parse_range(header, size)
    except Unsatisfiable:
        return "unsatisfiable"
    return range(found.start, found.stop) if found else "whole"


sizes = st.integers(0, 200) | st.integers(0, 2**62)
positions = st.integers(0, 250).map(str) | st.integers(0, 2**62).map(str) | st.sampled_from(["", "00", "x"])
headers = st.builds("{}={}-{}{}".format, st.sampled_from(["bytes", "Bytes", "items"]), positions, positions,
                    st.sampled_from(["", "", "", ",", ",3-4", "-", "x"]))  # fmt: skip


@settings(max_examples=500 * MORE, deadline=None)
@given(headers, sizes)
def test_it_agrees_with_the_rfc_read_word_by_word(header: str, size: int) -> None:
    assert answer(header, size) == naive(header, size)


@settings(max_examples=250 * MORE, deadline=None)
@given(st.text(max_size=60) | st.text("bytes=-0123456789, \t", max_size=40).map("bytes={}".format) | headers, sizes)
def test_whatever_is_asked_for_lies_within_the_content(header: str, size: int) -> None:
    found = answer(header, size)
    assert isinstance(found, str) or 0 <= found.start < found.stop <= size
