"""A slot tells the truth of itself, and hears; and housekeeping does not lose itself in one chore."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, Template, query


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Iterator[Server]:
    """A database, and no server."""
    made = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"))
    yield made
    made.end()


def seen(home: Server, deed: str) -> str:
    return home.shell(f"from tests.support.scenarios import slot_troubles; slot_troubles.{deed}()").splitlines()[-1]


def test_who_becomes_idle_while_the_database_is_away_is_seen_to_be_idle_later(home: Server) -> None:
    assert seen(home, "become_idle_without_database") == "well"


def test_who_was_busy_for_long_is_not_deaf_and_who_hears_nothing_of_work_is(home: Server) -> None:
    assert seen(home, "become_idle_after_long_work") == "well"


def test_a_slow_chore_of_housekeeping_keeps_none_waiting_that_comes_each_second(home: Server) -> None:
    assert seen(home, "keep_house_beside_a_slow_chore") == "well"


def test_a_heartbeat_goes_on_after_an_error_of_any_kind(home: Server) -> None:
    assert seen(home, "renew_after_errors") == "well"


def test_a_lease_is_renewed_though_what_is_reported_cannot_be_written(home: Server) -> None:
    assert seen(home, "report_what_cannot_be_written") == "well"


def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(home: Server) -> None:
    assert seen(home, "start_without_database") == "well"


@pytest.mark.parametrize(
    ("deed", "event"),
    [
        ("fail_at_every_beat", "heartbeat_fails"),
        ("lose_the_thread_of_the_heartbeat", "thread_died"),
        ("start_without_ffmpeg", "worker_not_started"),
        ("lose_the_thread_of_slow_chores", "thread_died"),
    ],
)
def test_a_process_that_cannot_do_its_work_ends_and_says_why(deed: str, event: str, home: Server) -> None:
    ended = home.manage(
        "shell",
        "-v0",
        "-c",
        f"from tests.support.scenarios import slot_troubles; slot_troubles.{deed}()",
        check=False,
    )
    assert ended.returncode == os.EX_SOFTWARE, ended.stdout + ended.stderr
    assert event in ended.stderr
    assert "Traceback" in ended.stderr


def test_who_hangs_in_storing_ends_itself_so_that_another_may_try(home: Server) -> None:
    ended = home.manage(
        "shell",
        "-v0",
        "-c",
        "from tests.support.scenarios import slot_troubles; slot_troubles.hang_in_storing()",
        check=False,
    )
    assert ended.returncode == os.EX_SOFTWARE
    assert "attempt_hangs" in ended.stdout + ended.stderr
    assert re.match(r"Storing \(\d s so far\)", ended.stdout)
    assert query(home, "SELECT status FROM media_jobs_job") == [("running",)]  # until its lease expires
