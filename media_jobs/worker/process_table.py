"""What supervisors say of their processes, for the people and programs that watch this host.

config/ starts the processes and adds to `sources`: this app knows neither how nor where reports are written.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uploads.text.times import human_time

_LATELY = 3600.0  # seconds for which a restart is shown


@dataclass(frozen=True, slots=True)
class Process:
    """A process that a supervisor keeps alive. Times are seconds since 1970."""

    name: str
    pid: int | None  # None: it is down
    since: float  # when that began
    restarts: int = 0  # since its supervisor was started
    code: int | None = None  # that it last ended with, negative for a signal; None where it could not be started
    ended_at: float | None = None


sources: list[Callable[[], Sequence[Process]]] = []


def processes() -> list[Process]:
    """Those of all live supervisors of this home, on this host."""
    return [process for read in sources for process in read()]


def process_troubles() -> list[str]:
    """Processes that are down, or were started again lately; in sentences."""
    return [_in_words(process) for process in processes() if process.pid is None or _ended_lately(process)]


def _ended_lately(process: Process) -> bool:
    return process.ended_at is not None and time.time() - process.ended_at < _LATELY


def _in_words(process: Process) -> str:
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
