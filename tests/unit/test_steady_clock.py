"""When the clock may be trusted with what it would destroy."""

from dataclasses import dataclass, field
from functools import partial

import pytest

from uploads.maintenance.steady_clock import HOUR, TOLERANCE, SteadyClock

DAY = 86400.0


@dataclass
class Time:
    """The clocks of a machine and of a database, and one that cannot be set."""

    passed: float = 500.0
    of_day: dict[str, float | None] = field(default_factory=lambda: {"machine": 1.8e9, "database": 1.8e9 + 7})

    def watch(self) -> SteadyClock:
        clocks = {name: partial(self._read, name) for name in self.of_day}
        return SteadyClock(clocks, lambda: self.passed)

    def _read(self, name: str) -> float | None:
        return self.of_day[name]

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds
        self.of_day = {name: now and now + seconds for name, now in self.of_day.items()}

    def jump(self, name: str, seconds: float) -> None:
        now = self.of_day[name]
        assert now is not None
        self.of_day[name] = now + seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def clock(time: Time) -> SteadyClock:
    """Steady for an hour already."""
    watched = time.watch()
    watched.is_steady()
    time.pass_by(HOUR)
    assert watched.is_steady()
    return watched


def test_no_clock_is_trusted_in_the_first_hour(time: Time) -> None:
    clock = time.watch()
    for _ in range(59):
        assert not clock.is_steady()
        time.pass_by(60)
    assert not clock.is_steady()
    time.pass_by(60)
    assert clock.is_steady()


@pytest.mark.parametrize("name", ["machine", "database"])
@pytest.mark.parametrize("seconds", [10 * DAY, -10 * DAY, TOLERANCE + 1, -TOLERANCE - 1])
def test_after_a_jump_the_hour_begins_anew(time: Time, clock: SteadyClock, name: str, seconds: float) -> None:
    time.jump(name, seconds)
    assert not clock.is_steady()
    time.pass_by(HOUR - 1)
    assert not clock.is_steady()
    time.pass_by(1)
    assert clock.is_steady()


def test_a_jump_back_is_a_jump_too(time: Time, clock: SteadyClock) -> None:
    time.jump("machine", 10 * DAY)
    assert not clock.is_steady()
    time.pass_by(HOUR - 10)
    time.jump("machine", -10 * DAY)
    assert not clock.is_steady()
    time.pass_by(20)
    assert not clock.is_steady()


def test_a_clock_that_is_set_right_by_seconds_is_steady(time: Time, clock: SteadyClock) -> None:
    for seconds in (TOLERANCE - 1, 1 - TOLERANCE, 0.5):
        time.jump("machine", seconds)
        time.pass_by(60)
        assert clock.is_steady()


def test_clocks_need_not_agree_with_each_other(time: Time) -> None:
    time.jump("database", 3 * DAY)
    clock = time.watch()
    clock.is_steady()
    time.pass_by(HOUR)
    assert clock.is_steady()


def test_a_clock_that_cannot_be_asked_is_not_trusted_and_is_as_before_when_it_can(
    time: Time, clock: SteadyClock
) -> None:
    before, time.of_day["database"] = time.of_day["database"], None
    time.pass_by(600)
    assert not clock.is_steady()
    assert before is not None
    time.of_day["database"] = before + 600
    assert clock.is_steady()


def test_a_jump_while_a_clock_could_not_be_asked_is_seen(time: Time, clock: SteadyClock) -> None:
    before, time.of_day["database"] = time.of_day["database"], None
    assert not clock.is_steady()
    assert before is not None
    time.of_day["database"] = before + DAY
    assert not clock.is_steady()
