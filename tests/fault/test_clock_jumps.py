"""A clock that jumps ahead by days and is set right again has cost nobody anything."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support import wrong_clock
from tests.support.run import command_for
from tests.support.scenarios import frequent_housekeeping
from tests.support.server import ROOT, Server, Template

DAY = 86400


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Iterator[Server]:
    """A database, and no server."""
    made = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"))
    yield made
    made.end()


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """How far the clock is ahead, in a file that libfaketime reads each time that it is asked."""
    path = tmp_path / "clock"
    path.write_text("+0\n")
    return path


@pytest.fixture
def told(home: Server, clock: Path) -> Iterator[IO[str]]:
    """What a housekeeping process tells, which goes by that clock."""
    faked = wrong_clock.variables()
    if faked is None:
        pytest.skip("moving a process's clock needs libfaketime (Debian: faketime)")
    faked |= {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    process = subprocess.Popen(
        command_for(frequent_housekeeping.keep_house),
        cwd=ROOT, env=home.environment | faked, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wrong_clock.remove_traces(process.pid)


def is_all_there(told: IO[str], least: float, most: float) -> float:
    """In the second round of chores at a time of day between these. Answers when that was."""
    rounds = 0
    for line in told:
        now, upload, has_token = json.loads(line)
        assert (upload, has_token) == ("receiving", True), now
        rounds += least < now < most
        if rounds == 2:
            return float(now)
    raise AssertionError("housekeeping has ended: see its log")


def test_what_a_jump_of_the_clock_makes_look_expired_is_there_when_it_is_set_right(
    told: IO[str], clock: Path
) -> None:
    began = is_all_there(told, 0, float("inf"))
    clock.write_text("+10d\n")
    is_all_there(told, began + 9 * DAY, began + 11 * DAY)
    clock.write_text("+0\n")
    is_all_there(told, began, began + DAY)
