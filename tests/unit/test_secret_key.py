"""The secret key: one for all processes that start at once, whole or not there, and made anew where it is empty."""

import stat
import subprocess
from pathlib import Path

import pytest

from config.secret_key import kept_key
from tests.support import child_programs
from tests.support.preloaded_processes import plain_environment
from tests.support.run import command_for, result_of
from tests.support.server import ROOT


@pytest.mark.parametrize("before", [None, ""], ids=["missing", "empty"])
def test_processes_that_start_at_once_agree_on_one_key(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret_key"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
    command = command_for(child_programs.make_secret_key, str(path))
    env = plain_environment()
    starting = [
        subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in starting:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starting:
        assert process.stdin is not None
        process.stdin.close()
    keys = {result_of(process.stdout.read()) for process in starting if process.stdout}
    assert [process.wait() for process in starting] == [0] * 8
    assert keys == {path.read_text()}
    assert len(path.read_text()) > 50


def test_it_stays_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    made = kept_key(path)
    assert kept_key(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("left", ["", " \n"])
def test_an_empty_one_is_none(left: str, tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    path.write_text(left)
    made = kept_key(path)
    assert len(made) > 50
    assert kept_key(path) == made


def test_what_a_crash_left_before_the_key_had_its_name_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    unfinished = tmp_path / "secret_key.new"
    unfinished.write_text("half of a k")
    unfinished.chmod(0o644)
    made = kept_key(path)
    assert "half" not in made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not unfinished.exists()
