"""The processes that supervisors keep alive on this host, for the admin, health checks and metrics.

config/ starts the processes, writes reports about them, and adds a function that reads the reports to `sources`.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uploads.text.times import human_time

_RECENT = 3600.0  # seconds for which a restart is shown


@dataclass(frozen=True, slots=True)
class Process:
    """A process that a supervisor keeps alive. Times are seconds since 1970."""

    name: str
    pid: int | None  # None: it is down
    since: float  # when it started or went down
    restarts: int = 0  # since its supervisor was started
    code: int | None = None  # the last exit code, negative for a signal; None if it could not be started
    ended_at: float | None = None


sources: list[Callable[[], Sequence[Process]]] = []


def processes() -> list[Process]:
    """The processes of all live supervisors on this host."""
    return [process for read in sources for process in read()]


def process_troubles() -> list[str]:
    """Sentences about processes that are down or were restarted recently."""
    return [_sentence(process) for process in processes() if process.pid is None or _ended_recently(process)]


def _ended_recently(process: Process) -> bool:
    return process.ended_at is not None and time.time() - process.ended_at < _RECENT


def _sentence(process: Process) -> str:
    ago = human_time(max(0.0, time.time() - (process.ended_at or process.since)))
    if process.pid is None:
        return f"The process {process.name} is down. It ended {ago} ago ({_how(process)}) and will be restarted."
    times = "once" if process.restarts == 1 else f"{process.restarts} times"
    return f"The process {process.name} was restarted {times}. It last ended {ago} ago ({_how(process)})."


def _how(process: Process) -> str:
    if process.code is None:
        return "it could not be started"
    return f"killed by {_signal_name(-process.code)}" if process.code < 0 else f"exit code {process.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
