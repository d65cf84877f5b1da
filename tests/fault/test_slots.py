"""A slot tells the truth of itself, and hears; and housekeeping does not lose itself in one chore."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.scenarios import slot_troubles
from tests.support.server import Server, Template, query


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Iterator[Server]:
    """A database, and no server."""
    made = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"))
    yield made
    made.end()


def test_who_becomes_idle_while_the_database_is_away_is_seen_to_be_idle_later(home: Server) -> None:
    assert home.call(slot_troubles.become_idle_without_database)


def test_who_was_busy_for_long_is_not_deaf_and_who_hears_nothing_of_work_is(home: Server) -> None:
    assert home.call(slot_troubles.become_idle_after_long_work)


def test_a_slow_chore_of_housekeeping_keeps_none_waiting_that_comes_each_second(home: Server) -> None:
    assert home.call(slot_troubles.keep_house_beside_a_slow_chore)


def test_a_heartbeat_goes_on_after_an_error_of_any_kind(home: Server) -> None:
    assert home.call(slot_troubles.renew_after_errors)


def test_a_lease_is_renewed_though_what_is_reported_cannot_be_written(home: Server) -> None:
    assert home.call(slot_troubles.report_what_cannot_be_written)


def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(home: Server) -> None:
    assert home.call(slot_troubles.start_without_database)


@pytest.mark.parametrize(
    ("trouble", "event"),
    [
        (slot_troubles.fail_at_every_beat, "heartbeat_fails"),
        (slot_troubles.lose_the_thread_of_the_heartbeat, "thread_died"),
        (slot_troubles.start_without_ffmpeg, "worker_not_started"),
        (slot_troubles.lose_the_thread_of_slow_chores, "thread_died"),
    ],
)
def test_a_process_that_cannot_do_its_work_ends_and_says_why(
    trouble: Callable[[], None], event: str, home: Server
) -> None:
    ended = home.run(trouble)
    assert ended.returncode == os.EX_SOFTWARE, ended.stdout + ended.stderr
    assert event in ended.stderr
    assert "Traceback" in ended.stderr


def test_who_hangs_in_storing_ends_itself_so_that_another_may_try(home: Server) -> None:
    ended = home.run(slot_troubles.hang_in_storing)
    assert ended.returncode == os.EX_SOFTWARE
    assert "attempt_hangs" in ended.stdout + ended.stderr
    assert re.match(r"Storing \(\d s so far\)", ended.stdout)
    assert query(home, "SELECT status FROM media_jobs_job") == [("running",)]  # until its lease expires
