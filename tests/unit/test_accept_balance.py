"""Which of several web processes takes a connection: one that has fewest, and another if that one does not."""

import time

import pytest

from config.web_server.accept_balance import Balance, Counts


@pytest.fixture
def pair() -> list[Balance]:
    counts = Counts(2)
    return [Balance(counts, counts.take_slot()) for _ in range(2)]


def test_a_single_process_leaves_nothing_to_others() -> None:
    assert not Balance(None, 0).leaves(100)


def test_a_process_that_has_more_leaves_a_connection_to_one_that_has_fewer(pair: list[Balance]) -> None:
    more, fewer = pair
    fewer.show(1)
    assert not more.leaves(1)
    assert more.leaves(2)
    assert 0 < more.pause < 1
    assert not fewer.leaves(1)


def test_it_takes_a_connection_that_nobody_else_takes(pair: list[Balance], monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    more, frozen = pair
    frozen.show(0)
    assert more.leaves(5)
    now += 0.01
    assert more.pause == 0
    assert not more.leaves(5)
    assert more.leaves(6)
    now += 1  # that one was taken by another process
    assert more.leaves(6)


def test_a_process_that_starts_or_has_ended_is_not_waited_for() -> None:
    counts = Counts(2)
    one, slot = Balance(counts, counts.take_slot()), counts.take_slot()
    assert not one.leaves(5)
    Balance(counts, slot).show(0)
    assert one.leaves(5)
    counts.free_slot(slot)
    assert not Balance(counts, one.slot).leaves(5)
    assert counts.take_slot() == slot
