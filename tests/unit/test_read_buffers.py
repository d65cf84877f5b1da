"""Buffers for request bodies: how large they are for slow and fast clients, and their common budget."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.repetitions import MORE
from tests.support.request_bodies import MIB
from uploads.content.hashing import PARALLEL_SIZE
from uploads.http.read_buffers import FAST, LARGE, SMALL, TINY, Budget, Buffers


def fill(buffers: Buffers, part: float, times: int = 1) -> int:
    """Use this part of each buffer. The size of the last one."""
    size = 0
    for _ in range(times):
        size = len(buffers.take())
        buffers.filled(int(size * part))
    return size


def alone(speed: int = 0) -> Buffers:
    return Buffers(speed, Budget(64 * MIB))


def test_buffers_are_small_at_first() -> None:
    assert fill(alone(), 1) == SMALL


def test_buffers_are_large_at_once_for_a_client_that_was_fast_just_before() -> None:
    assert fill(alone(FAST), 1) == LARGE
    assert fill(alone(FAST - 1), 1) == SMALL


def test_buffers_grow_for_a_client_that_fills_them_all_the_time() -> None:
    buffers = alone()
    sizes = [fill(buffers, 1) for _ in range(300)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == LARGE
    # The first few megabytes, which any client may send at full speed, are no reason.
    assert set(sizes[: 4 * MIB // SMALL]) == {SMALL}


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.99])
def test_buffers_stay_small_for_a_client_that_does_not_fill_them(part: float) -> None:
    assert fill(alone(), part, 1000) == SMALL


def test_buffers_stay_small_for_a_client_that_is_fast_only_now_and_then() -> None:
    buffers = alone()
    for _ in range(50):
        assert fill(buffers, 1, 30) == SMALL
        assert fill(buffers, 0.5) == SMALL


def test_buffers_shrink_when_the_client_slows_down() -> None:
    buffers = alone()
    assert fill(buffers, 1, 300) == LARGE
    fill(buffers, 0.01, 10)
    assert fill(buffers, 0.01) == SMALL
    assert fill(buffers, 1, 10) == SMALL


def test_buffers_do_not_shrink_for_one_pause() -> None:
    buffers = alone()
    fill(buffers, 1, 300)
    fill(buffers, 0.01, 3)
    assert fill(buffers, 1) == LARGE


fillings = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 0.2, 0.26, 0.5, 0.99, 1.0]), st.integers(1, 90)), min_size=1, max_size=12
)


@settings(max_examples=30 * MORE, deadline=None)
@given(fillings, st.sampled_from([0, FAST]))
def test_what_may_still_be_hashed_is_never_filled_again(parts: list[tuple[float, int]], speed: int) -> None:
    """A piece of PARALLEL_SIZE bytes or more stays as it is until the piece after the next is asked for."""
    buffers, sizes = alone(speed), set()
    last: memoryview | None = None
    for number, part in enumerate(part for part, times in parts for _ in range(times)):
        buffer = buffers.take()
        sizes.add(len(buffer))
        mark = number.to_bytes(4, "big")
        count = int(len(buffer) * part)
        buffer[:4] = mark
        if last is not None and len(last) >= PARALLEL_SIZE:
            assert bytes(last[:4]) == (number - 1).to_bytes(4, "big")
        buffers.filled(count)
        last = buffer[:count]
    assert sizes <= {SMALL, 4 * SMALL, LARGE}


def in_turns(crowd: list[Buffers], rounds: int, part: float = 1) -> list[int]:
    """All of a crowd use this part of their buffers, again and again. The sizes of the last ones."""
    for _ in range(rounds):
        sizes = [fill(buffers, part) for buffers in crowd]
    return sizes


@pytest.mark.parametrize("clients", [1, 10, 100, 500, 1000, 3000])
def test_the_buffers_of_a_crowd_that_is_fast_at_once_keep_to_their_budget(clients: int) -> None:
    shared = Budget(64 * MIB)
    crowd = [Buffers(0, shared) for _ in range(clients)]
    for _ in range(3):
        sizes = in_turns(crowd, 70)
        assert shared.taken <= 64 * MIB
    expected = {1: LARGE, 10: LARGE, 100: 4 * SMALL, 500: SMALL, 1000: SMALL, 3000: TINY}[clients]
    assert min(sizes) == expected
    for buffers in crowd:
        buffers.close()
    assert (shared.taken, shared.share) == (0, 64 * MIB)


def test_a_fast_client_among_many_that_trickle_has_a_large_buffer() -> None:
    shared = Budget(64 * MIB)
    crowd = [Buffers(0, shared) for _ in range(500)]
    in_turns(crowd, 10, 0.1)
    assert fill(Buffers(0, shared), 1, 300) == LARGE


def test_large_buffers_shrink_when_others_become_fast() -> None:
    shared = Budget(8 * MIB)
    first = Buffers(0, shared)
    assert fill(first, 1, 300) == LARGE
    others = [Buffers(FAST, shared) for _ in range(20)]
    in_turns(others, 3)
    fill(first, 1)
    assert fill(first, 1) == SMALL
    assert shared.taken <= 8 * MIB


def test_nobody_waits_for_a_budget_that_is_spent() -> None:
    shared = Budget(0)
    assert {fill(Buffers(FAST, shared), 1, 100) for _ in range(10)} == {TINY}


@pytest.mark.parametrize("size", [SMALL, 256 * 1024, 3 * MIB, 8 * MIB])
def test_buffers_of_a_fixed_size_keep_it_whatever_the_client_does(size: int) -> None:
    for speed in (0, FAST):
        shared = Budget(64 * MIB)
        shared.chunk_size = size
        buffers = Buffers(speed, shared)
        assert {fill(buffers, part) for part in (1, 0.01, 1, 0.01) for _ in range(100)} == {size}
        buffers.close()
        assert shared.taken == 0


@pytest.mark.parametrize("clients", [10, 500, 3000])
def test_buffers_of_a_fixed_size_keep_to_the_budget_too(clients: int) -> None:
    shared = Budget(64 * MIB)
    shared.chunk_size = 8 * MIB
    crowd = [Buffers(0, shared) for _ in range(clients)]
    for _ in range(3):
        sizes = in_turns(crowd, 3)
        assert shared.taken <= 64 * MIB
    assert min(sizes) <= 8 * MIB // 4
    for buffers in crowd[1:]:
        buffers.close()
    assert fill(crowd[0], 1, 3) == 8 * MIB  # when the others have gone
