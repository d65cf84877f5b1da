"""A server that all processes of a test run share: the first that needs it starts it, the last one ends it."""

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Facts = dict[str, Any]  # how others reach it, as JSON


@contextmanager
def shared(note: Path, start: Callable[[], Facts], stop: Callable[[Facts], None]) -> Iterator[Facts]:
    """`note` is a file that all who share it name alike. `start` returns what others need to know."""
    with _locked(note):
        users, facts = json.loads(note.read_text()) if note.exists() else (0, start())
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
