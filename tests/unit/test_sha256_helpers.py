"""SHA-256 in helper threads, beside the write."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.repetitions import MORE
from tests.support.request_bodies import MIB
from uploads.content import hashing
from uploads.content.hashing import PARALLEL_SIZE, Sha256

pieces_of_any_size = st.lists(
    st.integers(0, 3000) | st.sampled_from([PARALLEL_SIZE - 1, PARALLEL_SIZE, PARALLEL_SIZE + 1, MIB]), max_size=12
)


@settings(max_examples=30 * MORE, deadline=None)
@given(pieces_of_any_size, st.integers())
def test_the_digest_is_the_one_of_hashlib(sizes: list[int], seed: int) -> None:
    pieces = [random.Random(seed).randbytes(size) for size in sizes]
    ours = Sha256()
    for piece in pieces:
        ours.update(memoryview(piece))
    assert ours.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_digest_may_be_asked_for_in_between() -> None:
    ours, content = Sha256(), os.urandom(2 * MIB)
    ours.update(content[:MIB])
    assert ours.hexdigest() == hashlib.sha256(content[:MIB]).hexdigest()
    ours.update(content[MIB:])
    assert ours.hexdigest() == hashlib.sha256(content).hexdigest()


def _digest(seed: int) -> bool:
    sizes = random.Random(seed)
    ours, theirs = Sha256(), hashlib.sha256()
    buffers = bytearray(MIB), bytearray(MIB)
    for number in range(20):
        buffer = memoryview(buffers[number % 2])[: sizes.choice([100, 64 * 1024, PARALLEL_SIZE, MIB])]
        buffer[:] = sizes.randbytes(len(buffer))
        ours.update(buffer)
        theirs.update(buffer)
    return ours.hexdigest() == theirs.hexdigest()


def test_many_uploads_at_once_share_the_helpers() -> None:
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(_digest, range(64)))
    assert_helpers_are_idle()


@contextmanager
def busy_helpers() -> Iterator[None]:
    taken = 0
    while hashing._idle_helpers.acquire(blocking=False):
        taken += 1
    yield
    for _ in range(taken):
        hashing._idle_helpers.release()


def assert_helpers_are_idle() -> None:
    with busy_helpers():
        pass
    with pytest.raises(ValueError):  # released more often than acquired, if none was missing
        hashing._idle_helpers.release()


def hashing_threads() -> int:
    return sum(thread.name.startswith("sha256") for thread in threading.enumerate())


def test_with_every_helper_busy_hashing_goes_on_in_place() -> None:
    content = os.urandom(MIB)
    ours = Sha256()
    with busy_helpers():
        ours.update(content)
        assert ours._pending is None
    ours.update(content)
    assert ours.hexdigest() == hashlib.sha256(content * 2).hexdigest()


def test_there_are_no_more_helpers_than_cores() -> None:
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(_digest, range(16)))
    assert hashing_threads() <= max(1, hashing.CORES - 1)
