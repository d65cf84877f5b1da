"""Several hosts: two web servers and three workers, each with a home of its own, on PostgreSQL, Redis and SeaweedFS.

While uploads of every kind arrive and jobs run, each process is killed in turn, PostgreSQL restarts, Redis is
flushed, the store does not answer for 20 s, and the clock of a worker is wrong.
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
from tests.support.free_ports import free_port
from tests.support.object_store import ObjectStore
from tests.support.preloaded_processes import AnyProcess
from tests.support.server import Server, Template
from tests.support.waiting import wait_until

WEB, WORKERS = 2, {"quick": [], "heavy": ["faketime", "-f", "-10m"], "bulk": []}
_LEASE = "5s"
_KEY = "the same on all hosts of the drill, and long enough"


@dataclass
class Host:
    """A machine with one role, started again when it dies, as a service manager does."""

    name: str
    server: Server
    command: list[str]  # of a management command; empty: the web server
    wrapper: list[str] = field(default_factory=list)
    process: AnyProcess | None = None

    def revive(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        if self.command:
            self.process = self.server._launch(["manage.py", *self.command], self.wrapper)
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


@dataclass
class Hosts:
    cluster: Cluster
    store: ObjectStore
    redis: "subprocess.Popen[bytes]"
    redis_port: int
    bucket: str
    all: list[Host] = field(default_factory=list)

    @property
    def web(self) -> list[Server]:
        return [host.server for host in self.all if not host.command]

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
    found: Hosts | None = None
    try:
        store.start()
        found = Hosts(cluster, store, broker, port, store.make_bucket())
        _furnish(found, template, folder)
        yield found
    finally:
        for host in found.all if found else []:
            host.kill()
            host.server.ready.end()
        store.kill()
        broker.kill()
        broker.wait()
        shutil.rmtree(store.folder, ignore_errors=True)


def _furnish(found: Hosts, template: Template, folder: Path) -> None:
    """Homes of their own, one database, one bucket, one Redis."""
    database_url = template.copy_to(folder / "home-0")
    roles: list[tuple[str, list[str], list[str]]] = [(f"web {number + 1}", [], []) for number in range(WEB)]
    roles += [(f"worker {lane}", ["worker", "--lane", lane, "--one"], wrapper) for lane, wrapper in WORKERS.items()]
    roles += [(f"housekeeping {number + 1}", ["housekeeping"], []) for number in range(2)]
    settings = {"STORAGE": f"s3://{found.bucket}/media", "SECRET_KEY": _KEY, "LEASE": _LEASE, "DIRECT_UPLOADS": "on"}
    for number, (name, command, wrapper) in enumerate(roles):
        home = folder / f"home-{number}"
        if number:
            shutil.copytree(template.home, home)
        (home / "secret_key").unlink(missing_ok=True)
        server = Server(
            home, template.tokens, database_url, dict(settings), f"redis://127.0.0.1:{found.redis_port}/1",
            cache_url=f"redis://127.0.0.1:{found.redis_port}/2", variables=dict(found.store.environment),
        )  # fmt: skip
        found.all.append(Host(name, server, command, wrapper))
    found.all[0].server.call_by_name("tests.support.in_server.startup", "claim_the_stores")
    found.revive()


def until_up(found: Hosts, what: Callable[[], object], patience: float = 120) -> float:
    """Start again what has ended until this holds. Returns the seconds."""
    began = time.monotonic()

    def holds() -> object:
        found.revive()
        return what()

    wait_until(holds, patience)
    return time.monotonic() - began
