"""The process tree of `serve` and `worker`: children that are started again when they end, and die together.

A child that ends is started again at once; one that ends again and again, after pauses that double up to half a
minute. The others go on meanwhile. While the tree has never been up, a person waits at the terminal, or a service
manager for an exit code: an essential child that ends as soon as it starts, five times, ends the tree with a message.
Once all essential children have run for a while the tree never gives up: what is wrong may pass, and whatever still
runs is worth more than an exit code. Slots are not essential to `serve`: files are received without them.
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
_PATIENCE = 45.0  # for a graceful stop; gunicorn gives running uploads 30 s
# Longer than gunicorn tries to get a port that is taken, which is 5 s.
_TOO_SOON = 15.0
_TOO_OFTEN = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_TICK = 0.2


class CannotStart(RuntimeError):
    """An essential child ends as soon as it starts."""


@dataclass(slots=True)
class Child:
    name: str
    command: list[str]
    essential: bool = True
    process: "subprocess.Popen[bytes] | None" = None  # None: it ended, and is to be started again
    restarts: int = 0
    early_deaths: int = 0  # in a row
    since: float = 0.0  # by the wall clock, for people: when it was started, or else ended
    code: int | None = None  # that it last ended with
    ended_at: float | None = None
    _started: float = 0.0  # by the monotonic clock, as is the next
    _due: float = 0.0

    def start(self) -> None:
        """An error, as a lack of memory or of descriptors, counts as its end."""
        self._started, self.since = time.monotonic(), time.time()
        try:
            # A session of its own: Ctrl-C reaches us alone, and we stop the children in order.
            self.process = subprocess.Popen(  # noqa: S603  # our own commands, below
                self.command,
                cwd=settings.BASE_DIR,
                env=os.environ | {parent_death.PARENT: str(os.getpid())},
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError):
            log.exception("process_not_started", name=self.name)
            self._note_end(None)

    def revive(self) -> bool:
        """Start it again if it has ended and its pause is over. Answers whether anything has changed."""
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
        return self.process is not None and time.monotonic() - self._started >= _TOO_SOON

    def report(self) -> Process:
        pid = self.process.pid if self.process is not None else None
        return Process(self.name, pid, self.since, self.restarts, self.code, self.ended_at)

    def _note_end(self, code: int | None) -> None:
        now = time.monotonic()
        self.early_deaths = self.early_deaths + 1 if now - self._started < _TOO_SOON else 0
        pause = min(_FIRST_PAUSE * 2 ** (self.early_deaths - 1), _LONGEST_PAUSE) if self.early_deaths else 0.0
        self.process, self._due = None, now + pause
        self.code, self.since = code, time.time()
        self.ended_at = self.since
        log.error("process_ended", name=self.name, code=code, starts_again_in=pause)


@dataclass(slots=True)
class Tree:
    name: str
    children: list[Child]
    _stopping: bool = field(default=False)
    _has_been_up: bool = field(default=False)

    def run(self) -> None:
        """Until a signal asks for the end, or CannotStart. All children have ended then."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        with Reporter(self.name) as reporter:
            try:
                for child in self.children:
                    child.start()
                reporter.write([child.report() for child in self.children])
                while not self._stopping:
                    time.sleep(_TICK)
                    changed = [child.revive() for child in self.children if not self._stopping]
                    if any(changed):
                        reporter.write([child.report() for child in self.children])
                    self._judge()
            finally:
                self._end()

    def _judge(self) -> None:
        essential = [child for child in self.children if child.essential]
        self._has_been_up = self._has_been_up or all(child.has_lasted() for child in essential)
        for child in essential:
            if child.early_deaths >= _TOO_OFTEN and not self._has_been_up:
                raise CannotStart(f"{child.name} ends as soon as it starts. See its log output above.")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        running = [child.process for child in self.children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def manage(*words: str) -> list[str]:
    return [sys.executable, str(env.CODE / "manage.py"), *words]


def slots(lane: str, number: int, *, essential: bool = True) -> list[Child]:
    """Processes that run jobs, one each."""
    command = manage("worker", "--lane", lane, "--one")
    return [Child(f"{lane} {index}", command, essential) for index in range(1, number + 1)]


def web() -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:config.web_server.gunicorn_config"]
