"""The lock that a running installation shares, and `restore` takes alone."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import child_programs
from tests.support.run import command_for
from tests.support.server import ROOT, environment

Holder = Callable[[Callable[[], None]], "subprocess.Popen[str]"]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Holder]:
    """Run a process that takes the lock; it lets go when its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(program: Callable[[], None]) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        command, its = command_for(program), environment(tmp_path, "")
        started.append(subprocess.Popen(command, cwd=ROOT, env=its, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.communicate()


def is_held(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "held\n"


def test_several_may_run_and_none_beside_a_restore(hold: Holder) -> None:
    first, second = hold(child_programs.hold_shared_lock), hold(child_programs.hold_shared_lock)
    assert is_held(first)
    assert is_held(second)
    first.communicate()
    refused = hold(child_programs.hold_exclusive_lock)
    assert not is_held(refused)
    assert "is running on" in refused.communicate()[1]

    second.kill()
    second.wait()
    restoring = hold(child_programs.hold_exclusive_lock)
    assert is_held(restoring)
    late = hold(child_programs.hold_shared_lock)
    assert not is_held(late)
    assert "is being restored" in late.communicate()[1]
