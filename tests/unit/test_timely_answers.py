"""Questions to something that may not answer in time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.waiting import wait_until
from uploads.runtime.timely_answers import TimelyAnswer


def test_an_answer_in_time_is_given_and_asked_for_again_the_next_time() -> None:
    numbers = iter(range(10))
    answer = TimelyAnswer[int]()
    assert [answer.get(lambda: next(numbers), 20) for _ in range(3)] == [0, 1, 2]


def test_an_answer_that_lasts_is_not_asked_for_again() -> None:
    numbers = iter(range(10))
    answer = TimelyAnswer[int](lasts=1000)
    assert [answer.get(lambda: next(numbers), 20) for _ in range(3)] == [0, 0, 0]


def test_who_gets_no_answer_in_time_gets_the_last_one_and_asks_once() -> None:
    release, asked = threading.Event(), []

    def ask() -> str:
        asked.append(1)
        assert release.wait(60)
        return "late"

    answer = TimelyAnswer[str]()
    assert answer.get(ask, 0.01) is None
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: answer.get(ask, 0.01), range(4))) == [None] * 4
    release.set()
    wait_until(lambda: answer.get(ask, 0) == "late")
    assert asked[0] == 1
    release.clear()
    wait_until(lambda: len(asked) > 1)
    assert answer.get(ask, 0.01) == "late"
    release.set()


def test_an_error_is_raised_to_whoever_asks() -> None:
    answer = TimelyAnswer[int]()
    with pytest.raises(ZeroDivisionError):
        answer.get(lambda: 1 // 0, 20)
    assert answer.get(lambda: 7, 20) == 7
