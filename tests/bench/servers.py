"""The servers, each a process group of its own on 127.0.0.1, started by us and ended by us, by its id."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.free_ports import free_port
from tests.support.object_store import ObjectStore
from tests.support.preloaded_processes import AnyProcess, plain_environment
from tests.support.server import ROOT, Server, Template

from .client import BenchError
from .machine import family

READY_WITHIN = 30.0
TUS = Path(__file__).parent / "peers" / "tus"


@dataclass
class Running:
    process: AnyProcess
    port: int
    log: Path
    folder: Path  # where its files are
    server: Server | None = None  # if it is Millrace
    pids: list[int] = field(default_factory=list)

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self) -> None:
        if self.process.poll() is not None:
            raise BenchError(f"the server ended with {self.process.returncode}: {tail(self.log)}")


def tail(log: Path, size: int = 2000) -> str:
    return log.read_text(errors="replace")[-size:]


@contextlib.contextmanager
def running(command: Callable[[int, Path], list[str]], folder: Path) -> Iterator[Running]:
    """A peer: told its port and its folder, ready once somebody listens there."""
    folder.mkdir(parents=True)
    port, log = free_port(), folder.with_suffix(".log")
    environment = {**plain_environment(), "BENCH_FOLDER": str(folder), "TMPDIR": str(folder)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(port, folder), cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    found = Running(process, port, log, folder)
    try:
        _await_listener(found)
        found.pids = family(process.pid)
        yield found
    finally:
        found.stop()


def _await_listener(found: Running) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        found.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", found.port), timeout=1):
            time.sleep(0.5)  # gunicorn listens before its worker is there
            return
        time.sleep(0.05)
    raise BenchError(f"the server did not listen within {READY_WITHIN:.0f} s: {tail(found.log)}")


@contextlib.contextmanager
def millrace(template: Template, home: Path, store: ObjectStore | None = None, **settings: str) -> Iterator[Running]:
    """Millrace as it is shipped, on a home, a database and, in a store, a bucket of its own."""
    database_url = template.copy_to(home)
    server = Server(home, template.tokens, database_url, {"THREADS": "512", **settings})
    if store is not None:
        server.use_bucket(store)
    try:
        try:
            server.start()
        except AssertionError as error:
            raise BenchError(f"Millrace did not start: {error}") from error
        assert server.process is not None
        found = Running(server.process, server.port, home / "server.log", home, server)
        found.pids = family(server.process.pid)
        yield found
    finally:
        server.end()


def module(name: str) -> Callable[[int, Path], list[str]]:
    return lambda port, folder: [sys.executable, "-m", name, str(port)]


def uvicorn(application: str) -> Callable[[int, Path], list[str]]:
    quiet = ["--log-level", "warning", "--no-access-log"]
    return lambda port, folder: [sys.executable, "-m", "uvicorn", application, "--port", str(port), *quiet]


def gunicorn(application: str) -> Callable[[int, Path], list[str]]:
    """With the worker class that we use."""
    options = ["--workers", "1", "--worker-class", "gthread", "--threads", "16", "--log-level", "warning"]
    return lambda port, folder: [
        sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *options, "--no-control-socket", application,
    ]  # fmt: skip


def node_tus(modules: Path) -> Callable[[int, Path], list[str]]:
    return lambda port, folder: ["node", str(modules / "server.mjs"), str(port), str(folder)]


def install_tus(kept: Path) -> None:
    """`npm ci` in a folder that stays until the lock file changes."""
    lock, mark = TUS / "package-lock.json", kept / "installed.json"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        shutil.copy(TUS / "server.mjs", kept)
        return
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(TUS, kept)
    options = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(["npm", "ci", *options], cwd=kept, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise BenchError(f"npm ci failed: {done.stderr[-500:]}")
    shutil.copy(lock, mark)
