"""The processes of this machine, as the kernel tells of them; and signals to them."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_MOMENT = 0.02  # seconds


def pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def commands() -> Iterator[tuple[int, str]]:
    for pid in pids():
        with contextlib.suppress(OSError):
            yield pid, command_of(pid)


def working_in(folder: Path) -> list[int]:
    """Those that were told of a path in it: of a server's work folder, ffmpeg and what probes."""
    return [pid for pid, command in commands() if str(folder) in command]


def children(pid: int) -> list[int]:
    """Those that its main thread has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> dict[int, str]:
    """Those below it that live, with their commands, whichever thread started them."""
    found: dict[int, str] = {}
    below = {pid}
    while below := {child for parent in below for child in _children_of_threads(parent) if is_alive(child)}:
        for child in below:
            with contextlib.suppress(OSError):
                found[child] = command_of(child)
    return found


def _children_of_threads(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended since
            yield from (int(child) for child in path.read_text().split())


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()


def environment_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    return ""


def kill(*targets: int) -> None:
    _send(targets, signal.SIGKILL)


@contextmanager
def signalled(targets: Collection[int], first: signal.Signals, then: signal.Signals) -> Iterator[None]:
    _send(targets, first)
    try:
        yield
    finally:
        _send(targets, then)


@contextmanager
def stopped_when(
    targets: Callable[[], Collection[int]],
    holds: Callable[[], object] = lambda: True,
    timeout: float = 120,
    otherwise: Callable[[], object] = str,
) -> Iterator[None]:
    """Stop these processes as soon as there are some and `holds` is true, until the end of the block.

    A fast machine leaves a state before a test sees it. So `holds` is asked while they are stopped, and between two
    questions they run for as long as a question takes, so that a slow machine comes there, too.
    """
    stopped: Collection[int] = []
    start = time.monotonic()
    try:
        while True:
            stopped = targets()
            _send(stopped, signal.SIGSTOP)
            asked = time.monotonic()
            if stopped and holds() and all(map(is_alive, stopped)):
                break
            answered = time.monotonic()
            _send(stopped, signal.SIGCONT)
            assert answered - start < timeout, f"not in {timeout} s: {otherwise()}"
            time.sleep(max(_MOMENT, answered - asked))
        yield
    finally:
        _send(stopped, signal.SIGCONT)


def stopped_at_work(
    folder: Path,
    holds: Callable[[], object] = lambda: True,
    timeout: float = 120,
    otherwise: Callable[[], object] = str,
) -> AbstractContextManager[None]:
    """As `stopped_when`, for every ffmpeg that works in a folder. What probes has to end soon, so it runs on."""
    return stopped_when(lambda: _ffmpeg_in(folder), holds, timeout, otherwise)


def _ffmpeg_in(folder: Path) -> list[int]:
    return [
        pid
        for pid, command in commands()
        if str(folder) in command and "ffmpeg" in Path(command.partition(" ")[0]).name
    ]


def _send(targets: Iterable[int], what: signal.Signals) -> None:
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def sqlite_connections(pid: int) -> int:
    """How many connections to SQLite the children of this process have open.

    Counted by the write-ahead logs: SQLite keeps a database's own descriptor for the next connection.
    """
    found = 0
    for link in [link for child in children(pid) for link in Path(f"/proc/{child}/fd").iterdir()]:
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found += str(link.readlink()).endswith("millrace.sqlite3-wal")
    return found
