"""The process tree of `serve`: children that are started again when they fall, and die together."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType

import structlog
from django.conf import settings

from config import lifeline

log = structlog.get_logger(__name__)
_PATIENCE = 45.0  # for a graceful stop; gunicorn gives running uploads 30 s
# Longer than gunicorn tries to get a port that is taken, which is 5 s.
_TOO_SOON = 15.0
_TOO_OFTEN = 5


@dataclass(slots=True)
class Child:
    name: str
    command: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    early_deaths: int = 0

    def start(self) -> None:
        self.started = time.monotonic()
        # A session of its own: Ctrl-C reaches us alone, and we stop the children in order.
        self.process = subprocess.Popen(  # noqa: S603  # our own commands, below
            self.command,
            cwd=settings.BASE_DIR,
            env=os.environ | {lifeline.PARENT: str(os.getpid())},
            start_new_session=True,
        )

    def revive(self) -> None:
        """Start it again if it has ended; raise when that keeps happening."""
        assert self.process is not None
        if self.process.poll() is None:
            return
        soon = time.monotonic() - self.started < _TOO_SOON
        self.early_deaths = self.early_deaths + 1 if soon else 0
        log.error("process_ended", name=self.name, code=self.process.returncode)
        if self.early_deaths >= _TOO_OFTEN:
            raise RuntimeError(f"{self.name} ends as soon as it starts. Its last words are above.")
        time.sleep(0.2 * self.early_deaths)
        self.start()


@dataclass(slots=True)
class Tree:
    children: list[Child]
    _stopping: bool = field(default=False)

    def run(self) -> None:
        """Until a signal asks for the end, or a child cannot be kept alive. All children have ended then."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            for child in self.children:
                child.start()
            while not self._stopping:
                time.sleep(0.2)
                for child in self.children:
                    if not self._stopping:
                        child.revive()
        finally:
            self._end()

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
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]


def slots(lane: str, number: int) -> list[Child]:
    """Processes that run jobs, one each."""
    command = manage("worker", "--lane", lane, "--one")
    return [Child(f"{lane} {index}", command) for index in range(1, number + 1)]


def web() -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:config.server"]
