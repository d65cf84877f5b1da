"""Supervise the child processes of `serve` and `worker`: restart those that end, and stop all of them together.

A child that ends is restarted at once. If it ends again and again, the pauses before its restarts double up to half a
minute. The other children are not affected.

At the start a person waits at the terminal, or a service manager waits for an exit code. So if an essential child
ends right after its start, five times in a row, the supervisor ends with an error. Once all essential children have
run for a while the supervisor never gives up: the fault may pass, and the other children are still useful. Slots are
not essential to `serve`, which can receive files without them.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType

import structlog
from django.conf import settings

from config import env
from config.processes import parent_death
from config.processes.reports import Reporter
from media_jobs.worker.process_table import Process

log = structlog.get_logger(__name__)
_STOP_TIMEOUT = 45.0  # seconds for a graceful stop; gunicorn gives uploads in progress 30 s
# A child that ends within this time has an early death. gunicorn tries for 5 s to use a port that is taken.
_EARLY = 15.0
_MAX_EARLY_DEATHS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_TICK = 0.2


class CannotStart(RuntimeError):
    """An essential child ends as soon as it starts."""


@dataclass(slots=True)
class Child:
    name: str
    command: list[str]
    essential: bool = True
    process: "subprocess.Popen[bytes] | None" = None  # None: it has ended and waits for its restart
    restarts: int = 0
    early_deaths: int = 0  # in a row
    since: float = 0.0  # wall-clock time of its start or, if it has ended, of its end
    code: int | None = None  # exit code of its last end
    ended_at: float | None = None
    _started: float = 0.0  # on the monotonic clock, as is _due
    _due: float = 0.0

    def start(self) -> None:
        """Start the process. If that fails, for example without free memory, this counts as its end."""
        self._started, self.since = time.monotonic(), time.time()
        try:
            # A session of its own: Ctrl-C reaches only the supervisor, which then stops the children in order.
            self.process = subprocess.Popen(  # noqa: S603  # our own commands, below
                self.command,
                cwd=settings.BASE_DIR,
                env=os.environ | {parent_death.PARENT: str(os.getpid())},
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError):
            log.exception("process_not_started", name=self.name)
            self._note_end(None)

    def restart_if_ended(self) -> bool:
        """Restart the process if it has ended and its pause is over. Returns whether anything has changed."""
        if self.process is not None:
            code = self.process.poll()
            if code is not None:
                self._note_end(code)
            return code is not None
        if time.monotonic() < self._due:
            return False
        self.restarts += 1
        self.start()
        return True

    def has_lasted(self) -> bool:
        return self.process is not None and time.monotonic() - self._started >= _EARLY

    def report(self) -> Process:
        pid = self.process.pid if self.process is not None else None
        return Process(self.name, pid, self.since, self.restarts, self.code, self.ended_at)

    def _note_end(self, code: int | None) -> None:
        now = time.monotonic()
        self.early_deaths = self.early_deaths + 1 if now - self._started < _EARLY else 0
        pause = min(_FIRST_PAUSE * 2 ** (self.early_deaths - 1), _LONGEST_PAUSE) if self.early_deaths else 0.0
        self.process, self._due = None, now + pause
        self.code, self.since = code, time.time()
        self.ended_at = self.since
        log.error("process_ended", name=self.name, code=code, starts_again_in=pause)


@dataclass(slots=True)
class Tree:
    """The child processes of one supervisor."""

    name: str
    children: list[Child]
    _stopping: bool = field(default=False)
    _has_been_up: bool = field(default=False)

    def run(self) -> None:
        """Run until a signal ends it, or raise CannotStart. All children have ended then."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        with Reporter(self.name) as reporter:
            try:
                for child in self.children:
                    child.start()
                reporter.write([child.report() for child in self.children])
                while not self._stopping:
                    time.sleep(_TICK)
                    changed = [child.restart_if_ended() for child in self.children if not self._stopping]
                    if any(changed):
                        reporter.write([child.report() for child in self.children])
                    self._check_early_deaths()
            finally:
                self._end()

    def _check_early_deaths(self) -> None:
        essential = [child for child in self.children if child.essential]
        self._has_been_up = self._has_been_up or all(child.has_lasted() for child in essential)
        for child in essential:
            if child.early_deaths >= _MAX_EARLY_DEATHS and not self._has_been_up:
                raise CannotStart(f"{child.name} ends as soon as it starts. See its log output above.")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        running = [child.process for child in self.children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def manage(*words: str) -> list[str]:
    return [sys.executable, str(env.CODE / "manage.py"), *words]


def slots(lane: str, number: int, *, essential: bool = True) -> list[Child]:
    """Child processes for the slots of a lane. Each runs one job at a time."""
    command = manage("worker", "--lane", lane, "--one")
    return [Child(f"{lane} {index}", command, essential) for index in range(1, number + 1)]


def web() -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:config.web_server.gunicorn_config"]
