"""The soak of `make drill` finds what grows, and tells failures that a fault explains from others."""

import subprocess
import sys
import time

from tests.drill.soak.ledger import CUT, Ledger
from tests.drill.soak.samples import Sample, Trend, as_table, trends
from tests.support.server import ROOT


def life(pid: int, begin: float, *values: float) -> list[Sample]:
    return [Sample(begin + number, "web", pid, "memory, MB", value) for number, value in enumerate(values)]


def test_what_stays_the_same_is_flat_and_what_grows_is_not() -> None:
    [steady] = trends(life(1, 0, 100, 140, 100, 101, 103, 102, 104, 99, 103), warm_up=0)
    assert (steady.first, steady.last, steady.is_flat) == (100, 103, True)
    [leaking] = trends(life(1, 0, *range(100, 190, 10)), warm_up=0)
    assert not leaking.is_flat
    assert "GROWS" in as_table([leaking])


def test_threads_descriptors_and_jobs_that_wait_may_hardly_become_more() -> None:
    def is_flat(figure: str, first: float, last: float) -> bool:
        return Trend("web", figure, 900, first, last).is_flat

    assert (is_flat("threads", 64, 66), is_flat("threads", 64, 70)) == (True, False)
    assert (is_flat("descriptors", 70, 75), is_flat("descriptors", 70, 80)) == (True, False)
    assert (is_flat("jobs", 60, 150), is_flat("jobs", 600, 2200)) == (True, False)


def test_a_start_is_left_out_and_the_longest_life_of_a_process_is_judged() -> None:
    short, long = life(1, 0, 500, 600, 700), life(2, 10, 20, 50, *[90.0] * 9)
    [trend] = trends([*short, *long], warm_up=2)
    assert trend == Trend("web", "memory, MB", 8, 90, 90)
    assert trends(short, warm_up=2) == []


def test_a_failure_counts_unless_a_fault_was_on_at_some_moment_of_its_request() -> None:
    ledger = Ledger()
    before = time.monotonic()
    with ledger.excuse(CUT):
        began = time.monotonic()
    ledger.note("GET files/", CUT, began)
    ledger.note("GET files/", CUT, before)
    assert not ledger.wrong
    ledger.note("GET files/", 500, began, b"a fault")
    ledger.note("GET files/", CUT, time.monotonic())
    assert len(ledger.wrong) == 2
    assert ledger.excused == {"connections cut": 2}
    assert ledger.answers == {("GET files/", CUT): 3, ("GET files/", 500): 1}


def test_the_drill_starts() -> None:
    """It runs outside of pytest: what it imports must need no settings of the tests."""
    done = subprocess.run([sys.executable, "-m", "tests.drill", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "soak" in done.stdout
