"""What all processes of a test run share: the first that needs it makes or starts it, the last one ends it."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.preloaded_processes import ROOT

Facts = dict[str, Any]  # how others reach it, and its "pid", if it is a process


@contextmanager
def shared(note: Path, start: Callable[[], Facts], stop: Callable[[Facts], None]) -> Iterator[Facts]:
    """`note` is a file that all who share it name alike. `start` returns what others need to know."""
    with _locked(note):
        users, facts = json.loads(note.read_text()) if note.exists() else (0, _begin(start))
        _write(note, users + 1, facts)
    try:
        yield facts
    finally:
        with _locked(note):
            users = json.loads(note.read_text())[0]
            if users > 1:
                _write(note, users - 1, facts)
            else:
                note.unlink()
                stop(facts)


def _begin(start: Callable[[], Facts]) -> Facts:
    facts = start()
    if "pid" not in facts:
        return facts
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    subprocess.Popen(
        [sys.executable, "-m", "tests.support.end_with", str(run), str(facts["pid"])],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return facts


def end_shared(pid: int) -> None:
    """Kill a process that this one may not have started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _write(note: Path, users: int, facts: Facts) -> None:
    note.write_text(json.dumps([users, facts]))


@contextmanager
def _locked(note: Path) -> Iterator[None]:
    with note.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
