"""A whole Millrace to hurt: web, housekeeping and workers, started again when they die, as `serve` does."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from tests.drill.cluster import Cluster, own_cluster
from tests.support.killable_server import MortalServer
from tests.support.preloaded_processes import AnyProcess
from tests.support.processes import children, environment_of, pids, working_in
from tests.support.server import drop_database, make_template, query

LEASE = 3.0
WORKERS = ("quick", "heavy", "heavy")
PATIENCE = 120.0
# What people are told of a job's past, as the order in which it may come.
_FOLLOWS = {
    "": {"queued", "uploading"},
    "uploading": {"queued", "failed", "cancelled"},
    "queued": {"running", "succeeded", "failed", "cancelled", "queued"},
    "running": {"queued", "succeeded", "failed", "cancelled"},
    "failed": {"queued"},
    "cancelled": {"queued"},
}


class Broken(Exception):  # the promise, not the program: the drill goes on and reports it
    """What must hold does not."""


@dataclass
class Stage:
    server: MortalServer
    film: bytes
    recording: bytes  # small, and large as a WAV
    workers: list[tuple[str, AnyProcess]] = field(default_factory=list)
    housekeeping: AnyProcess | None = None
    cluster: Cluster | None = None  # that its database is in, if that may be stopped
    hit: str = ""  # when and where the last fault was done
    lanes: tuple[str, ...] = WORKERS

    def start(self) -> None:
        self.server.alone = True
        self.server.start()
        self.revive()
        self.wait_for(
            lambda: self.one("SELECT count(*) FROM media_jobs_worker") >= len(self.lanes), "workers to start"
        )

    def revive(self) -> None:
        """Start again whatever has ended."""
        if not self.server.is_running:
            self.server.start()
        if self.housekeeping is None or self.housekeeping.poll() is not None:
            self.housekeeping = self.server.run_beside("housekeeping")
        alive = [item for item in self.workers if item[1].poll() is None]
        missing = list(self.lanes)
        for lane, _ in alive:
            missing.remove(lane)
        # All at once, and nobody waits for them: whatever is asked next does.
        self.workers = alive + [(lane, self.server.run_beside("worker", "--lane", lane, "--one")) for lane in missing]

    def submit(self, operation: str = "transcode", params: Any = None, source: bytes = b"") -> str:
        """A job of some seconds on a file that nobody has seen."""
        return self.order(self.upload(source or self.film), operation, params)

    def order(self, file: str, operation: str = "transcode", params: Any = None) -> str:
        order = {"operation": operation, "params": params or {"quality": "high"}, "file": file}
        headers = {"Content-Type": "application/json"}
        answer = self.server.request("POST", "/api/v1/jobs/", json.dumps(order).encode(), headers)
        assert answer.status == 202, answer
        return str(answer.json()["id"])

    def upload(self, source: bytes) -> str:
        unseen = uuid.uuid4().bytes
        film = source + (8 + len(unseen)).to_bytes(4, "big") + b"free" + unseen
        return str(self.server.put("film.mp4", film).json()["id"])

    def cancel(self, job_id: str) -> bool:
        """Whether there was something to cancel."""
        return self.server.request("POST", f"/api/v1/jobs/{job_id}/cancel/").status == 200

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get(f"/api/v1/jobs/{job_id}/", user="alice").json()
        return found

    def one(self, statement: str) -> Any:
        return query(self.server, statement)[0][0]

    def meets(self, job_id: str, phase: str) -> bool:
        """Whether it was seen in this phase. The database itself is asked, and often: some are short."""
        statement = f"SELECT status, phase FROM media_jobs_job WHERE id = {self.quoted(job_id)}"  # noqa: S608  # our own
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status, now = query(self.server, statement)[0]
            if status not in {"queued", "running"} or now == phase:
                return bool(now == phase)
            time.sleep(0.002)
        raise Broken(f"waited {PATIENCE:.0f} s in vain for job {job_id} to come to {phase}, or to an end")

    def scratch(self, attempt: str = "") -> list[Path]:
        return [path for path in (self.server.home / "work").iterdir() if attempt in path.name]

    def attempt(self, job_id: str) -> str:
        """The token of whoever runs it, which names its folder and its keys."""
        token = f"SELECT token FROM media_jobs_job WHERE id = {self.quoted(job_id)}"  # noqa: S608  # our own
        found = self.one(token)
        return str(uuid.UUID(str(found))) if found else ""

    def where(self, job_id: str) -> tuple[str, int]:
        """The phase in which it runs, and the process that has its lease; or nothing, if it does not run."""
        named = f"j.status = 'running' AND j.id = {self.quoted(job_id)}"
        workers = "media_jobs_job j JOIN media_jobs_worker w ON w.id = j.worker_id"
        rows = query(self.server, f"SELECT j.phase, w.pid FROM {workers} WHERE {named}")  # noqa: S608  # our own words
        return (str(rows[0][0]), int(rows[0][1])) if rows else ("", 0)

    def holder(self, job_id: str) -> int:
        return self.where(job_id)[1]

    def quoted(self, job_id: str) -> str:
        return f"'{job_id}'" if self.server.database_url else f"'{uuid.UUID(job_id).hex}'"

    def tools(self, attempt: str = "") -> list[int]:
        """Every process that works in our work folder, or in that of one attempt: ffmpeg, and what probes."""
        return working_in(self.server.home / "work" / attempt)

    def everything(self) -> list[int]:
        """Every process of ours: those that we started, what they forked, and whatever has their environment."""
        started = [self.server.process, self.housekeeping, *(process for _, process in self.workers)]
        ours = [process.pid for process in started if process is not None and process.poll() is None]
        forked: list[int] = []
        for parent in ours:
            with contextlib.suppress(OSError):  # it has ended since
                forked += children(parent)
        named = [pid for pid in pids() if str(self.server.home) in environment_of(pid)]
        return list({*ours, *forked, *named, *self.tools()})

    def wait_for(self, happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := happened():
                return found
            time.sleep(0.05)
        raise Broken(f"waited {patience:.0f} s in vain for {what}")

    def finished(self, job_id: str) -> dict[str, Any]:
        """Wait for the job's end, starting again what has ended, as `serve` does."""

        def ended() -> Any:
            self.revive()
            with contextlib.suppress(OSError, KeyError, ValueError):  # the server is just being started
                job = self.job(job_id)
                return job["finished_at"] and job
            return None

        found: dict[str, Any] = self.wait_for(ended, f"job {job_id} to end")
        return found

    def check_ended(self, job_id: str, status: str = "succeeded") -> str:
        """So, exactly once, with one set of artifacts or none, and nothing else is left. Answers with its story."""
        job = self.finished(job_id)
        if job["status"] != status:
            raise Broken(f"the job {job['status']}: {job['error']}")
        past = self.past(job_id)
        if [state for state, _ in past].count(status) != 1:
            raise Broken(f"it was not {status} once: {past}")
        names = [artifact["name"] for artifact in job["artifacts"]]
        if bool(names) != (status == "succeeded") or len(set(names)) != len(names):
            raise Broken(f"it has the artifacts {names}")
        for artifact in job["artifacts"]:
            self._check_content(artifact["file"])
        self.check_clean()
        return " → ".join(f"{state} ({detail})" if detail else state for state, detail in past)

    def past(self, job_id: str) -> list[tuple[str, str]]:
        named = f"subject = 'job' AND subject_id = {self.quoted(job_id)}"
        past = f"SELECT number, state, detail FROM uploads_transition WHERE {named} ORDER BY number"  # noqa: S608
        rows = query(self.server, past)
        before = ""
        for index, (number, state, _) in enumerate(rows, 1):
            if number != index or state not in _FOLLOWS.get(before, set()):
                raise Broken(f"the transitions tell no story: {rows}")
            before = state
        return [(state, detail) for _, state, detail in rows]

    def _check_content(self, file_id: str) -> None:
        file = self.server.get(f"/api/v1/files/{file_id}/", user="alice").json()
        body = self.server.get(f"/api/v1/files/{file_id}/content", user="alice").body
        if hashlib.sha256(body).hexdigest() != file["sha256"]:
            raise Broken("an artifact's bytes are not those of its hash")

    def check_gone(self, job_id: str, attempt: str, seconds: float) -> None:
        """In so many seconds it is cancelled, and no process, scratch or byte of that attempt remains."""
        until = time.monotonic() + seconds
        for happened, what in (
            (lambda: self.job(job_id)["status"] == "cancelled", "the row to be cancelled"),
            (lambda: not self.tools(attempt), "its processes to be gone"),
            (lambda: not self.scratch(attempt), "its scratch to be gone"),
            (lambda: not self._stored_by(attempt), "its bytes to be gone"),
        ):
            self.wait_for(happened, what, until - time.monotonic())

    def check_clean(self) -> None:
        """No process, no scratch and no byte that no row speaks of. Other jobs (inspect) may still have to end."""
        self.wait_for(self._all_ended, "other jobs to end")
        self.wait_for(lambda: not self.tools(), "ffmpeg to be gone", 20)
        self.wait_for(lambda: not self.scratch(), "scratch to be gone", 20)
        self.wait_for(self._bytes_match, "bytes and rows to match", 20)

    def _all_ended(self) -> bool:
        self.revive()
        return not self.one("SELECT count(*) FROM media_jobs_job WHERE finished_at IS NULL")

    def _stored_by(self, attempt: str) -> list[Path]:
        return [path for path in self.server.local_files() if path.name.startswith(attempt)]

    def _bytes_match(self) -> bool:
        keys = {key for (key,) in query(self.server, "SELECT key FROM uploads_blob")}
        return keys == {path.name for path in self.server.local_files()}


def make_film(folder: Path, seconds: int) -> bytes:
    """One that takes some seconds to encode."""
    path = folder / "film.mp4"
    source = ["-f", "lavfi", "-i", f"testsrc2=size=854x480:rate=30:duration={seconds}"]
    sound = ["-f", "lavfi", "-i", f"sine=duration={seconds}"]
    encode = ["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", "28", str(path)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *sound, *encode], check=True)
    return path.read_bytes()


def make_recording(folder: Path, minutes: int) -> bytes:
    path = folder / "silence.mp4"
    source = ["-f", "lavfi", "-i", f"anullsrc=r=48000:cl=stereo:d={60 * minutes}"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-c:a", "aac", str(path)], check=True)
    return path.read_bytes()


@contextmanager
def staged(
    folder: Path,
    base_url: str,
    *,
    broker_url: str = "",
    seconds: int = 16,
    lanes: tuple[str, ...] = WORKERS,
    **settings: str,
) -> Iterator[Stage]:
    """On PostgreSQL where `base_url` names one: on one of our own, if it can be had, else in a database there.

    `seconds` is the length of the film that is worked on: on two cores its encoding takes about a quarter of that.
    Stages may share `folder`: each makes a folder of its own in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="stage-", dir=folder))
    with own_cluster() if base_url else nullcontext() as cluster:
        template = make_template(folder / "template", cluster.url if cluster else base_url)
        home = folder / "home"
        settings = {"LEASE": f"{LEASE}s", "ATTEMPTS": "9"} | settings
        server = MortalServer(
            home,
            template.tokens,
            template.copy_to(home),
            settings,
            broker_url,
            config="tests.support.gunicorn_configs.killed_at_a_step",
        )
        film, recording = make_film(folder, seconds), make_recording(folder, 2 * seconds)
        try:
            stage = Stage(server, film, recording, cluster=cluster, lanes=lanes)
            stage.start()
            yield stage
        finally:
            server.kill()
            server.ready.end()
            for url in (server.database_url, template.database_url) if cluster is None else ():
                drop_database(url)
            shutil.rmtree(home, ignore_errors=True)
