"""Workers of the operation `hls` are killed: what could be played stays, and only unfinished segments are redone."""

import os
import signal
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.job_requests import ended, submit
from tests.support.processes import stopped_at_work
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.troubled_clips import clip, ffmpeg
from tests.support.waiting import wait_until

MADE = "SELECT part FROM media_jobs_job WHERE parent_id IS NOT NULL AND status = 'succeeded'"
AGAIN = "SELECT count(*) FROM media_jobs_job WHERE parent_id IS NOT NULL AND attempts > 0"
# Noise, which takes long to encode. How long depends on the machine, so its encoder is stopped between two segments.
SLOW = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=s=640x360:r=25:d=28,noise=alls=12:allf=t",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-g",
    "50",
]
RUNNING = "SELECT id FROM media_jobs_job WHERE parent_id IS NOT NULL AND status = 'running'"


def is_run_made(server: Server) -> bool:
    return any("run" in str(part) for (part,) in query(server, MADE))


def played(server: Server, address: str, name: str) -> list[bytes]:
    """What a player gets of a rendition now: its init segment and its segments."""
    lines = server.get(f"{address}{name}.m3u8", user="alice").body.decode().splitlines()
    segments = [line for line in lines if line.endswith(".m4s")]
    return [server.get(address + part, user="alice").body for part in (f"{name}/init.mp4", *segments)]


def test_segments_that_could_be_played_stay_when_workers_are_killed(
    template: Template, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    film = tmp_path / "film.mkv"
    ffmpeg("-i", str(clip("one-minute.mp4", tmp_path)), "-c", "copy", str(film))
    with running(template, tmp_path_factory, LEASE="5s", JOB_THREADS="1") as server:
        file = server.put("film.mkv", film.read_bytes(), user="alice").json()["id"]
        address = f"/api/v1/files/{file}/hls/"
        bulk, heavy = server.start_worker("bulk"), server.start_worker("heavy")
        job = submit(server, file, "hls", heights=[48])
        with stopped_at_work(server.home / "work", lambda: query(server, MADE), otherwise=lambda: server.log[-2000:]):
            begun = {name: played(server, address, name) for name in ("video", "audio0")}
            assert all(len(parts) > 3 for parts in begun.values())
            os.killpg(bulk.pid, signal.SIGKILL)
            server.start_worker("bulk")

        with stopped_at_work(server.home / "work", lambda: is_run_made(server)):
            os.killpg(heavy.pid, signal.SIGKILL)
        server.start_worker("heavy")
        again: list[int] = []
        while query(server, MADE):
            again += query(server, AGAIN)[0]
            time.sleep(0.05)
        assert max(again, default=0) <= 1
        assert ended(server, job)["status"] == "succeeded"
        assert query(server, "SELECT 1 FROM media_jobs_scratchblob") == []
        for name, parts in begun.items():
            complete = played(server, address, name)
            assert len(complete) > len(parts)
            assert complete[: len(parts)] == parts


def pieces(server: Server, child: str) -> list[tuple[int, int]]:
    """Of a run: the first segment of each piece, and the first one after it."""
    rows = query(server, f"SELECT name FROM media_jobs_scratchblob WHERE child_id = '{child}'")  # noqa: S608  # our own
    bounds = [str(name).split(".")[1].split("-") for (name,) in rows]
    return sorted((int(first), int(last)) for first, last in bounds)


def is_between_segments(work: Path) -> bool:
    """Whether a run is being encoded, of which a segment is finished and another has begun."""
    for path in work.rglob("encoded.mp4"):
        with suppress(FileNotFoundError):  # this run has just ended
            if path.read_bytes().count(b"moof") > 1:
                return True
    return False


def begun_run(server: Server) -> str:
    """The id of a run that is being encoded, and of which segments are finished."""
    return next((str(child) for (child,) in query(server, RUNNING) if pieces(server, str(child))), "")


def test_a_run_goes_on_after_the_segments_that_a_killed_worker_has_finished(
    template: Template, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    ffmpeg(*SLOW, "-pix_fmt", "yuv420p", str(film))
    with running(template, tmp_path_factory, LEASE="3s", JOB_THREADS="1") as server:
        file = server.put("film.mp4", film.read_bytes(), user="alice").json()["id"]
        address = f"/api/v1/files/{file}/hls/"
        server.start_worker("bulk")
        heavy = server.start_worker("heavy")
        job = submit(server, file, "hls", heights=[160])
        work = server.home / "work"
        with stopped_at_work(work, lambda: is_between_segments(work), otherwise=lambda: server.log[-2000:]):
            child = wait_until(lambda: begun_run(server), 60, lambda: server.log[-2000:])
            os.killpg(heavy.pid, signal.SIGKILL)
        kept, begun = pieces(server, child), played(server, address, "160p")
        assert len(begun) == 1 + kept[-1][1]
        server.start_worker("heavy")
        seen = set(kept)
        while not server.get(f"/api/v1/jobs/{job}/", user="alice").json()["finished_at"]:
            seen |= set(pieces(server, child))
            time.sleep(0.02)
        assert ended(server, job)["status"] == "succeeded"
        ordered = sorted(seen)
        assert ordered[: len(kept)] == kept
        assert all(before[1] == after[0] for before, after in pairwise(ordered))  # none was encoded again
        assert played(server, address, "160p")[: len(begun)] == begun
