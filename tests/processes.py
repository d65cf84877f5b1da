"""The processes of this machine, as the kernel tells of them; and signals to them."""

import contextlib
import os
import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def commands() -> Iterator[tuple[int, str]]:
    for pid in pids():
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")


def working_in(folder: Path) -> list[int]:
    """Those that were told of a path in it: of a server's work folder, ffmpeg and what probes."""
    return [pid for pid, command in commands() if str(folder) in command]


def children(pid: int) -> list[int]:
    """Those that its main thread has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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


def _send(targets: Iterable[int], what: signal.Signals) -> None:
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)
