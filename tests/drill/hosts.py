"""Several hosts: two web servers and three workers, each with a home of its own, on PostgreSQL, Redis and SeaweedFS.

While uploads of every kind arrive and jobs run, each process is killed in turn, PostgreSQL restarts, Redis is
flushed, the store does not answer for 20 s, the clock of one worker is 10 minutes slow, and the scratch disk of
another is full.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.drill.cluster import Cluster
from tests.drill.in_server import work_with_wrong_clock
from tests.support import wrong_clock
from tests.support.free_ports import free_port
from tests.support.object_store import ObjectStore
from tests.support.preloaded_processes import AnyProcess
from tests.support.run import words_for
from tests.support.server import Server, Template
from tests.support.small_disks import MIB, disk_at
from tests.support.waiting import wait_until

WEB, LANES = 2, ("quick", "heavy", "bulk")
SMALL_DISK, FLOOR = 128 * MIB, 16 * MIB  # the scratch of the worker quick, and what it leaves free
_WRONG_CLOCK = "heavy"  # the lane of the worker that has it
_LEASE = "12s"  # half of it may pass without a heartbeat, also on a busy machine
_KEY = "the same on all hosts of the drill, and long enough"


@dataclass
class Host:
    """A machine with one role, started again when it dies, as a service manager does."""

    name: str
    server: Server
    words: list[str]  # of a command, after `python`; empty: the web server
    wrapper: list[str] = field(default_factory=list)
    scratch: Path | None = None  # a disk of its own; None: its home
    process: AnyProcess | None = None

    def scratch_entries(self) -> list[Path]:
        """Folders of attempts, and inputs."""
        place = self.server.home if self.scratch is None else self.scratch / "millrace"
        return [*place.glob("work/*"), *place.glob("inputs/*/*")]

    def revive(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        if self.words:
            self.process = self.server._launch(self.words, self.wrapper)
        else:
            self.server.process = None
            with contextlib.suppress(AssertionError):  # the database is away, for example: it is tried again
                self.server.start()
            self.process = self.server.process

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            wrong_clock.remove_traces(self.process.pid)


@dataclass
class Hosts:
    cluster: Cluster
    store: ObjectStore
    redis: "subprocess.Popen[bytes]"
    redis_port: int
    bucket: str
    all: list[Host] = field(default_factory=list)

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.all if host.name == name)

    @property
    def web(self) -> list[Server]:
        return [host.server for host in self.all if not host.words]

    def revive(self) -> None:
        for host in self.all:
            host.revive()

    def flush_redis(self) -> None:
        redis.Redis(port=self.redis_port).flushall()


@contextmanager
def hosts(template: Template, cluster: Cluster, folder: Path) -> Iterator[Hosts]:
    store = ObjectStore(folder / "objects")
    port = free_port()
    broker = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=folder, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    scratch, found = folder / "scratch", list[Host]()
    scratch.mkdir()
    with disk_at(scratch, SMALL_DISK):
        try:
            store.start()
            made = Hosts(cluster, store, broker, port, store.make_bucket(), found)
            _furnish(made, template, folder, scratch)
            yield made
        finally:
            for host in found:
                host.kill()
                host.server.ready.end()
            store.kill()
            broker.kill()
            broker.wait()
            shutil.rmtree(store.folder, ignore_errors=True)


def _furnish(found: Hosts, template: Template, folder: Path, scratch: Path) -> None:
    """Homes of their own, one database, one bucket, one Redis."""
    database_url = template.copy_to(folder / "home-0")
    roles: list[tuple[str, list[str]]] = [(f"web {number + 1}", []) for number in range(WEB)]
    roles += [(f"worker {lane}", ["manage.py", "worker", "--lane", lane, "--one"]) for lane in LANES]
    roles += [(f"housekeeping {number + 1}", ["manage.py", "housekeeping"]) for number in range(2)]
    settings = {"STORAGE": f"s3://{found.bucket}/media", "SECRET_KEY": _KEY, "LEASE": _LEASE, "DIRECT_UPLOADS": "on"}
    for number, (name, words) in enumerate(roles):
        home = folder / f"home-{number}"
        if number:
            shutil.copytree(template.home, home)
        (home / "secret_key").unlink(missing_ok=True)
        own = scratch if name == "worker quick" else None
        server = Server(
            home, template.tokens, database_url,
            settings | ({"SCRATCH": str(own), "MIN_FREE": str(FLOOR)} if own else {}),
            f"redis://127.0.0.1:{found.redis_port}/1", cache_url=f"redis://127.0.0.1:{found.redis_port}/2",
            variables=dict(found.store.environment),
        )  # fmt: skip
        found.all.append(Host(name, server, words, scratch=own))
    slow = found[f"worker {_WRONG_CLOCK}"]
    slow.words, slow.wrapper = words_for(work_with_wrong_clock, _WRONG_CLOCK), _clock_wrapper("-10m")
    found.all[0].server.call_by_name("tests.support.in_server.startup", "claim_the_stores")
    found.revive()


def _clock_wrapper(offset: str) -> list[str]:
    variables = wrong_clock.variables()
    assert variables is not None, "The drill needs libfaketime (Debian: faketime)."
    return ["env", f"FAKETIME={offset}", *(f"{name}={value}" for name, value in variables.items())]


def until_up(
    found: Hosts, what: Callable[[], object], patience: float = 120, otherwise: Callable[[], object] = str
) -> float:
    """Start again what has ended until this holds. Returns the seconds."""
    began = time.monotonic()

    def holds() -> object:
        found.revive()
        return what()

    wait_until(holds, patience, otherwise)
    return time.monotonic() - began
