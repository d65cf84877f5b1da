"""`manage.py serve` as a person starts it: the whole process tree, all imports included."""

import contextlib
import http.client
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.free_ports import free_port
from tests.support.processes import descendants, is_alive, kill
from tests.support.server import ROOT, environment
from tests.support.waiting import wait_until

MANAGE = [sys.executable, str(ROOT / "manage.py")]
PARTS = {"web", "web worker", "housekeeping"}  # gunicorn is two processes; slots are named by their lanes


@dataclass
class Serve:
    """One home on which `serve` is started, again and again."""

    home: Path
    database_url: str
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    known: dict[int, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)  # of the environment, without our prefix
    folder: Path = ROOT  # the current folder

    @property
    def environment(self) -> dict[str, str]:
        # The same slots whether an extra is installed or not.
        settings = {"SLOTS_INFERENCE": "0", "PORT": str(self.port)} | self.settings
        return environment(self.home, self.database_url, **settings) | self.variables

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    @property
    def output(self) -> str:
        return self.log.read_text()

    def start(self, *command: str, ready: bool = True) -> None:
        """With a log of its own: `output` is what this start said."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command or [*MANAGE, "serve"], cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if ready:
            wait_until(self.is_ready, 90, lambda: self.output)
            wait_until(lambda: set(self.tree()) >= PARTS, 30)

    def is_ready(self) -> bool:
        assert self.is_running, self.output
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False

    def tree(self) -> dict[str, int]:
        """Name -> pid of what runs below this process; not what workers run for a moment."""
        found = descendants(self.pid)
        self.known |= found
        named: dict[str, int] = {}
        for pid, command in found.items():  # parents come before their children
            if "gunicorn" in command:
                named.setdefault("web worker" if "web" in named else "web", pid)
            elif command.endswith("manage.py housekeeping"):
                named.setdefault("housekeeping", pid)
            elif "manage.py worker" in command:
                named.setdefault(command.partition("--lane ")[2].split()[0], pid)
        return named

    def run(self, *words: str) -> str:
        """What a management command says, started as a person would."""
        return subprocess.run(
            [*MANAGE, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def refusal(self, **settings: str) -> str:
        """What `serve` says when it will not start."""
        done = subprocess.run(
            [*MANAGE, "serve"], cwd=ROOT, env=self.environment | settings, capture_output=True, text=True, timeout=60
        )
        assert done.returncode != 0
        return done.stdout + done.stderr

    def end(self) -> None:
        if self.process is not None:
            if self.is_running:
                self.tree()
            self.process.kill()
            kill(*alive(self.known))
            self.process.wait()


def alive(pids: Iterable[int]) -> set[int]:
    return {pid for pid in pids if is_alive(pid)}
