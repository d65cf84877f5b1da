"""The real server, as its users run it: gunicorn with our configuration, on a home and a database of its own."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

import psycopg

from tests.support import outside_services
from tests.support.free_ports import free_port
from tests.support.object_store import ObjectStore
from tests.support.preloaded_processes import ROOT as ROOT
from tests.support.preloaded_processes import AnyProcess, ReadyDjango, plain_environment
from tests.support.run import result_of, words_for, words_for_name
from tests.support.stored_objects import StoredObject
from tests.support.waiting import wait_until

Body = bytes | Iterable[bytes] | None
P = ParamSpec("P")
R = TypeVar("R")
_LASTING = ThreadPoolExecutor(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        return str(self.json()["code"])


@dataclass
class Template:
    """A prepared home, and on PostgreSQL a prepared database, copied for each server."""

    home: Path
    tokens: dict[str, str]
    database_url: str = ""  # PostgreSQL's, of a database that is a template; else SQLite in the home

    def copy_to(self, home: Path) -> str:
        """Returns the DATABASE_URL of the copy, or nothing for the SQLite file within it."""
        shutil.copytree(self.home, home)
        database_url = self._copy_database()
        outside_services.mark_store(home, database_url)
        return database_url

    def _copy_database(self) -> str:
        if not self.database_url:
            return ""
        base, _, name = self.database_url.rpartition("/")
        copy = f"millrace_{uuid.uuid4().hex[:12]}"
        sql(self.database_url, f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
        return f"{base}/{copy}"


def sql(database_url: str, statement: str) -> None:
    base = database_url.rpartition("/")[0]
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(statement)


def query(server: "Server", statement: str) -> list[tuple[Any, ...]]:
    """Ask a server's database without Django, which takes a second to start."""
    if server.database_url:
        with psycopg.connect(server.database_url) as connection:
            return connection.execute(statement).fetchall()
    [database] = server.home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as lite:
        return lite.execute(statement).fetchall()


def make_tables(home: Path) -> Path:
    """An SQLite database with all tables and no account: to make them takes as long as many tests."""
    home.mkdir()
    _run_once(home, "", "manage.py", "migrate", "--verbosity", "0")
    return home / "millrace.sqlite3"


def make_template(home: Path, base_url: str) -> Template:
    """On SQLite, tables that are in the home already are used."""
    database_url = ""
    if base_url.startswith("postgres"):
        database_url = f"{base_url.rpartition('/')[0]}/millrace_template_{uuid.uuid4().hex[:12]}"
        sql(database_url, f'CREATE DATABASE "{database_url.rpartition("/")[2]}"')
    said = _run_once(home, database_url, "-m", "tests.support.prepared_home")
    return Template(home, json.loads(said), database_url)


def _run_once(home: Path, database_url: str, *words: str) -> str:
    """Run `python WORDS` on a home, in a Django that ends with it. Returns what it printed."""
    ready = ReadyDjango()
    try:
        done = ready.run(_own_environment(home, database_url), list(words))
    finally:
        ready.end()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def drop_database(database_url: str) -> None:
    if database_url:
        sql(database_url, f'DROP DATABASE IF EXISTS "{database_url.rpartition("/")[2]}" WITH (FORCE)')


def environment(home: Path, database_url: str, **settings: str) -> dict[str, str]:
    """The environment of a Millrace process: ours, without what the test run itself set."""
    found = _own_environment(home, database_url) | outside_services.variables(home)
    return found | {f"MILLRACE_{name}": value for name, value in settings.items()}


def _own_environment(home: Path, database_url: str) -> dict[str, str]:
    found = {**plain_environment(), "MILLRACE_HOME": str(home), "MILLRACE_MIN_FREE": "0", "MILLRACE_THREADS": "32"}
    found["DJANGO_SETTINGS_MODULE"] = "config.settings"
    found["MILLRACE_CONNECTIONS_PER_ADDRESS"] = "100000"  # all clients of a test come from one
    if database_url:
        found["DATABASE_URL"] = database_url
    return found


@dataclass
class Server:
    home: Path
    tokens: dict[str, str]
    database_url: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    broker_url: str | None = None  # "": files. None: what the test run uses
    config: str = "config.web_server.gunicorn_config"  # the module of gunicorn's configuration
    wrapper: list[str] = field(default_factory=list)  # e.g. strace and its options
    cache_url: str | None = None  # "": the database. None: what the test run uses
    port: int = field(default_factory=free_port)
    process: AnyProcess | None = None
    helpers: list[AnyProcess] = field(default_factory=list)  # workers and housekeeping
    ready: ReadyDjango = field(default_factory=ReadyDjango)
    variables: dict[str, str] = field(default_factory=dict)  # of the environment, without our prefix
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)  # of those who have signed in

    by_hand: ClassVar[bool] = False  # whether processes are started as users start them, all imports included

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def media(self) -> Path:
        return self.home / "media"

    @property
    def log(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")

    @property
    def environment(self) -> dict[str, str]:
        found = environment(self.home, self.database_url, PORT=str(self.port), **self.settings)
        chosen = {"BROKER_URL": self.broker_url, "CACHE_URL": self.cache_url}
        return found | {name: url for name, url in chosen.items() if url is not None} | self.variables

    def use_bucket(self, store: ObjectStore) -> str:
        """Keep new bytes in a new bucket of this store, whose name is returned. To be called before the start."""
        bucket = store.make_bucket()
        self.settings = self.settings | {"STORAGE": f"s3://{bucket}/media"}
        self.variables = self.variables | store.environment
        self.call_by_name("tests.support.in_server.startup", "claim_the_stores")
        return bucket

    def start(self) -> None:
        self.process = self._launch(["-m", "gunicorn", "--config", f"python:{self.config}"], self.wrapper)
        self._wait_for(self.process, self._answers)

    def _launch(self, words: list[str], wrapper: Iterable[str] = ()) -> AnyProcess:
        """`python WORDS`, in a session of its own, writing to our log."""
        with (self.home / "server.log").open("ab") as log, Path(os.devnull).open() as nothing:
            if self.by_hand or wrapper:
                return subprocess.Popen(
                    [*wrapper, sys.executable, *words], cwd=ROOT, env=self.environment, stdin=nothing, stdout=log,
                    stderr=log, start_new_session=True,
                )  # fmt: skip
            return self.ready.start(self.environment, words, (nothing.fileno(), log.fileno(), log.fileno()))

    def start_worker(self, lane: str = "quick") -> AnyProcess:
        """One slot, as `serve` starts it, once it can be given work."""
        process = self.run_beside("worker", "--lane", lane, "--one")
        itself = f"SELECT 1 FROM media_jobs_worker WHERE pid = {process.pid}"  # noqa: S608  # a number
        self._wait_for(process, lambda: query(self, itself))
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/healthz").status == 200
        return False

    def _wait_for(self, process: AnyProcess, is_there: Callable[[], object]) -> None:
        def is_there_or_gone() -> object:
            assert process.poll() is None, self.log
            return is_there()

        wait_until(is_there_or_gone, 90, lambda: self.log)

    def run_beside(self, *words: str) -> AnyProcess:
        """A management command that goes on until this server is killed."""
        process = self._launch(["manage.py", *words])
        self.helpers.append(process)
        return process

    def kill(self) -> None:
        """As a bad day would: the whole tree at once."""
        for helper in self.helpers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(helper.pid, signal.SIGKILL)
            helper.wait()
        self.helpers.clear()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def end(self) -> None:
        """No process, no database and no byte is left."""
        self.kill()
        self.ready.end()
        drop_database(self.database_url)
        outside_services.drop_store(self.home)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Gunicorn's arbiter, whose children are its workers."""
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def restart(self) -> None:
        """Kill it and start it again, from any thread: it dies with the one that starts it, so this one lasts."""
        self.kill()
        _LASTING.submit(self.start).result()

    def manage(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a management command on this server's home."""
        done = self.ready.run(self.environment, ["manage.py", *words])
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in this server's Django, in a new process. Arguments and result are passed as JSON."""
        result: R = self.call_by_name(function.__module__, function.__qualname__, *args, **kwargs)
        return result

    def call_by_name(self, module: str, name: str, *args: object, **kwargs: object) -> Any:
        """As `call`, for callers that have not loaded Django."""
        done = self.ready.run(self.environment, words_for_name(module, name, *args, **kwargs))
        assert done.returncode == 0, done.stdout + done.stderr
        return result_of(done.stdout)

    def run(
        self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> "subprocess.CompletedProcess[str]":
        """As `call`; returns how the process ended and what it printed."""
        return self.ready.run(self.environment, words_for(function, *args, **kwargs))

    def request(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None,
        *, user: str | None = "alice", chunked: bool = False, timeout: float = 60,
    ) -> Answer:  # fmt: skip
        sent = dict(headers or {})
        if user is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens[user]}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=sent, encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, user: str | None = None) -> Answer:
        return self.request("GET", path, headers=headers, user=user)

    def put(self, name: str, body: Body, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return self.request("PUT", f"/api/v1/upload/{name}", body, headers, **more)

    def post_form(
        self, form: bytes, boundary: str = "b0undary", headers: Mapping[str, str] | None = None,
        path: str = "/api/v1/files/", **more: Any,
    ) -> Answer:  # fmt: skip
        content_type = f"multipart/form-data; boundary={boundary}"
        return self.request("POST", path, form, {"Content-Type": content_type, **(headers or {})}, **more)

    def raw(self, data: bytes, *, shut: bool = False, timeout: float = 20) -> bytes:
        """Send exactly these bytes; return whatever comes back until the server closes or says no more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as wire:
            wire.sendall(data)
            if shut:
                wire.shutdown(socket.SHUT_WR)
            return b"".join(_until_closed(wire))

    @property
    def marker(self) -> Path | StoredObject:
        """The marker of this server's store."""
        if outside_services.store is not None:
            return outside_services.object_at(self.home, "millrace-store")
        return self.media / ".millrace-sink"

    def place_of(self, key: str) -> Path | StoredObject:
        """Where the bytes of a key are, or would be."""
        if outside_services.store is not None:
            return outside_services.object_at(self.home, f"content/{key}")
        return self.media / key[:2] / key

    def stored_bytes(self) -> list[Path] | list[StoredObject]:
        """All content in this server's store, whole or partial; not sidecars, nor what is in quarantine."""
        if outside_services.store is not None:
            return outside_services.content_of(self.home)
        return self.local_files()

    def local_files(self) -> list[Path]:
        """The same on this server's disk, for tests that need files."""
        folders = [folder for folder in self.media.iterdir() if folder.name == "partial" or len(folder.name) == 2]
        return sorted(path for folder in folders for path in folder.iterdir())

    def partial_bytes(self) -> list[Path] | list[StoredObject]:
        """What this server's store has of open writes."""
        if outside_services.store is not None:
            return outside_services.partial_content_of(self.home)
        return sorted((self.media / "partial").glob("*"))

    def quarantined(self) -> list[Path] | list[StoredObject]:
        if outside_services.store is not None:
            return outside_services.quarantined_in(self.home)
        return sorted((self.media / "quarantine").glob("*"))


def _until_closed(wire: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionError):
        while data := wire.recv(65536):
            yield data


def form_part(name: str, content: bytes, filename: str | None = None, boundary: str = "b0undary") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: video/mp4'
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form_end(boundary: str = "b0undary") -> bytes:
    return f"--{boundary}--\r\n".encode()
