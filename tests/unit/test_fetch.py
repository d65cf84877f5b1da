"""Fetching by ranges: whole, verified, in bounded memory, and stopped at once."""

import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from media_jobs.errors import Cancelled, ContentLost
from media_jobs.worker import fetch as fetching
from media_jobs.worker.fetch import Source, fetch
from uploads.sinks.base import SinkError
from uploads.sinks.memory import MemorySink

KEY = "k" * 32


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_RANGE", 1000)
    monkeypatch.setattr(fetching, "_PIECE", 300)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    found = os.open(tmp_path / "input", os.O_CREAT | os.O_RDWR)
    yield found
    os.close(found)


def stored(data: bytes) -> MemorySink:
    sink = MemorySink()
    with sink.create(KEY) as writer:
        writer.write(data)
        writer.commit()
    return sink


def source_of(data: bytes, sink: MemorySink | None = None) -> Source:
    place = sink or stored(data)
    return Source("a.mp4", hashlib.sha256(data).hexdigest(), len(data), partial(place.open, KEY))


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 123_456])
def test_the_file_is_whole(size: int, fd: int) -> None:
    data, arrived = random.Random(size).randbytes(size), list[int]()
    fetch(source_of(data), fd, arrived.append)
    assert os.pread(fd, size + 1, 0) == data
    assert arrived == sorted(arrived)
    assert arrived[-1] <= size


def test_other_content_than_the_hash_says_is_refused(fd: int) -> None:
    data = random.Random(1).randbytes(5000)
    damaged = stored(data[:2500] + bytes(1) + data[2501:])
    with pytest.raises(ContentLost, match="is damaged in the store"):
        fetch(source_of(data, damaged), fd, lambda arrived: None)


def test_content_that_is_too_short_is_refused(fd: int) -> None:
    data = random.Random(1).randbytes(5000)
    with pytest.raises(SinkError, match="shorter"):
        fetch(source_of(data, stored(data[:4500])), fd, lambda arrived: None)


def test_content_that_is_missing_is_refused(fd: int) -> None:
    with pytest.raises(SinkError):
        fetch(source_of(b"film", MemorySink()), fd, lambda arrived: None)


def test_it_stops_at_once_even_if_the_store_does_not_answer(fd: int) -> None:
    data, released = random.Random(1).randbytes(5000), threading.Event()
    answers = partial(stored(data).open, KEY)

    def hang(start: int, end: int) -> BinaryIO:
        released.wait(60)
        return answers(start, end)

    def stop(arrived: int) -> None:
        raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(Source("a.mp4", "", len(data), hang), fd, stop)
    assert time.monotonic() - began < 30
    released.set()


def test_several_ranges_are_under_way_at_a_time(fd: int) -> None:
    data, together = random.Random(1).randbytes(8000), threading.Barrier(fetching.CONNECTIONS)
    answers = partial(stored(data).open, KEY)

    def meet(start: int, end: int) -> BinaryIO:
        together.wait(60)
        return answers(start, end)

    fetch(Source("a.mp4", hashlib.sha256(data).hexdigest(), len(data), meet), fd, lambda arrived: None)
    assert os.pread(fd, len(data), 0) == data
