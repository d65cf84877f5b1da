"""A whole Millrace, as `serve` starts it, for measuring jobs: submit, look, and wait."""

import contextlib
import json
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from tests.support.run import words_for_name
from tests.support.server import ROOT, Server, Template, query

from .client import BenchError
from .servers import millrace

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
JSON = {"Content-Type": "application/json"}
PATIENCE = 180.0
LOOK_EVERY = 0.005


@dataclass(frozen=True)
class Submitted:
    id: str
    seconds: float  # that submitting took
    began: float  # on the clock of time.monotonic()


class Stage:
    """A server with its files, and whoever submits."""

    def __init__(self, server: Server, look_every: float = LOOK_EVERY) -> None:
        self.server, self._look_every = server, look_every
        self._clerk: subprocess.Popen[str] | None = None
        if server.get("/api/v1/jobs/", user="alice").status == 404:
            # Without the API, a process that calls what its view would call.
            self._clerk = subprocess.Popen(
                [sys.executable, *words_for_name("tests.bench.jobs_rows", "take_orders")],
                cwd=ROOT, env=server.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip

    @property
    def entrance(self) -> str:
        return "by function" if self._clerk else "over HTTP"

    def close(self) -> None:
        if self._clerk is not None:
            self._clerk.kill()
            self._clerk.wait()

    def upload(self, content: bytes, name: str) -> str:
        """A file that was not there before, inspected if somebody inspects."""
        answer = self.server.put(name, content)
        if answer.status != 201:
            raise BenchError(f"an upload was refused: {answer}")
        return str(answer.json()["id"])

    def submit(self, file: str, operation: str, **params: Any) -> Submitted:
        order = json.dumps({"operation": operation, "params": params, "file": file})
        began = time.monotonic()
        if self._clerk is None:
            answer = self.server.request("POST", "/api/v1/jobs/", order.encode(), JSON)
            seconds = time.monotonic() - began
            if answer.status not in {200, 201, 202}:
                raise BenchError(f"a job was refused: {answer}")
            return Submitted(answer.json()["id"], seconds, began)
        assert self._clerk.stdin is not None
        assert self._clerk.stdout is not None
        self._clerk.stdin.write(f"{order}\n")
        self._clerk.stdin.flush()
        job, seconds = json.loads(self._clerk.stdout.readline())
        return Submitted(job, seconds, began)

    def column(self, job: Submitted, what: str) -> Any:
        return self.ask(f"SELECT {what} FROM media_jobs_job WHERE id = '{uuid.UUID(job.id).hex}'")[0][0]  # noqa: S608

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return query(self.server, statement)

    def between(self, job: Submitted, first: str, last: str) -> float:
        """Seconds from one moment of a job to another, by the database's clock."""
        return float(self.column(job, f"(julianday({last}) - julianday({first})) * 86400"))

    def wait_until(self, statement: str, what: str) -> float:
        """Until the database answers with something true. Answers when that was seen."""
        deadline = time.monotonic() + PATIENCE
        while not self.ask(statement)[0][0]:
            if time.monotonic() > deadline:
                raise BenchError(f"waited in vain for {what}: {self.server.log[-500:]}")
            time.sleep(self._look_every)
        return time.monotonic()

    def started(self, job: Submitted) -> float:
        """Seconds from submitting to when a client sees that it runs, or has run."""
        named = f"id = '{uuid.UUID(job.id).hex}'"
        seen = self.wait_until(f"SELECT status <> 'queued' FROM media_jobs_job WHERE {named}", "a job to start")  # noqa: S608
        return seen - job.began

    def finished(self, job: Submitted) -> float:
        named = f"id = '{uuid.UUID(job.id).hex}'"
        seen = self.wait_until(f"SELECT finished_at IS NOT NULL FROM media_jobs_job WHERE {named}", "a job to end")  # noqa: S608
        if (status := self.column(job, "status")) != "succeeded":
            raise BenchError(f"a job {status}: {self.column(job, 'error_detail')}; {self.column(job, 'log')}")
        return seen - job.began

    def reached(self, job: Submitted, when: str) -> float:
        """The moment in which that is so of it, as a client sees it."""
        named = f"id = '{uuid.UUID(job.id).hex}'"
        return self.wait_until(f"SELECT {when} FROM media_jobs_job WHERE {named}", f"a job to have {when}")  # noqa: S608

    def idle(self) -> None:
        """Until the worker of the quick lane is seen to have nothing to do."""
        busy = "SELECT count(*) = 0 FROM media_jobs_worker WHERE lane = 'quick' AND state <> 'idle'"
        self.wait_until(busy, "the quick worker to be idle")

    def calm(self) -> None:
        """Until nothing is left for it, either."""
        left = "SELECT count(*) = 0 FROM media_jobs_job WHERE lane = 'quick' AND finished_at IS NULL"
        self.wait_until(left, "the quick lane to be empty")
        self.idle()

    def rows(self, name: str, *args: object, **kwargs: object) -> Any:
        """Call a function of jobs_rows in the server's Django, which this process has not loaded."""
        return rows(self.server, name, *args, **kwargs)

    def bare(self, job: Submitted, content: Path, folder: Path) -> float:
        """Seconds that the job's commands take by hand: with the same input, threads, and niceness."""
        folder.mkdir()
        (folder / "input0").symlink_to(content)
        commands = [shlex.split(line) for line in self.column(job, "command").splitlines()]
        began = time.monotonic()
        for words in commands:
            run = ["nice", "-n", "10", FFMPEG, *words[1:]]
            done = subprocess.run(run, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            if done.returncode:
                raise BenchError(f"{words} by hand: {done.stderr[-300:]!r}")
        return time.monotonic() - began


def rows(server: Server, name: str, *args: object, **kwargs: object) -> Any:
    return server.call_by_name("tests.bench.jobs_rows", name, *args, **kwargs)


@contextlib.contextmanager
def staged(
    template: Template, home: Path, *lanes: str, look_every: float = LOOK_EVERY, **settings: str
) -> Iterator[Stage]:
    """Web server, housekeeping, and a slot of each of the lanes."""
    with millrace(template, home, None, **settings) as host:
        assert host.server is not None
        stage = Stage(host.server, look_every)
        try:
            host.server.run_beside("housekeeping")
            for lane in lanes:
                stage.server.start_worker(lane)
            yield stage
        finally:
            stage.close()


def make(path: Path, *arguments: str) -> Path:
    """A film or picture, by ffmpeg."""
    subprocess.run([FFMPEG, "-v", "error", "-nostdin", *arguments, str(path)], check=True)
    return path


def unlike(film: bytes) -> bytes:
    """The same film with another end, which players skip: another file, and the same work."""
    end = uuid.uuid4().bytes
    return film + (8 + len(end)).to_bytes(4, "big") + b"free" + end
