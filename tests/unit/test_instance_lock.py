"""The lock that a running installation shares, and `restore` takes alone."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import ROOT, environment

_SETUP = (
    "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; "
    "from config.processes import instance_lock; "
)
SHARED = _SETUP + "instance_lock.hold_shared(); print('held', flush=True); sys.stdin.read()"
EXCLUSIVE = _SETUP + "x = instance_lock.exclusively(); x.__enter__(); print('held', flush=True); sys.stdin.read()"
Holder = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Holder]:
    """Run a process that takes the lock; it lets go when its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        command, its = [sys.executable, "-c", code], environment(tmp_path, "")
        started.append(subprocess.Popen(command, cwd=ROOT, env=its, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.communicate()


def is_held(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "held\n"


def test_several_may_run_and_none_beside_a_restore(hold: Holder) -> None:
    first, second = hold(SHARED), hold(SHARED)
    assert is_held(first)
    assert is_held(second)
    first.communicate()
    refused = hold(EXCLUSIVE)
    assert not is_held(refused)
    assert "is running on" in refused.communicate()[1]

    second.kill()
    second.wait()
    restoring = hold(EXCLUSIVE)
    assert is_held(restoring)
    late = hold(SHARED)
    assert not is_held(late)
    assert "is being restored" in late.communicate()[1]
