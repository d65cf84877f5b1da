"""Workers of the operation `hls` are killed: what could be played stays, and only their own part is made again."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.job_requests import ended, submit
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.troubled_clips import clip, ffmpeg
from tests.support.waiting import wait_until

MADE = "SELECT part FROM media_jobs_job WHERE parent_id IS NOT NULL AND status = 'succeeded'"
AGAIN = "SELECT count(*) FROM media_jobs_job WHERE parent_id IS NOT NULL AND attempts > 0"


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
        wait_until(lambda: query(server, MADE), 60, lambda: server.log[-2000:])
        begun = {name: played(server, address, name) for name in ("video", "audio0")}
        assert all(len(parts) > 3 for parts in begun.values())
        os.killpg(bulk.pid, signal.SIGKILL)
        server.start_worker("bulk")

        wait_until(lambda: any("run" in str(part) for (part,) in query(server, MADE)), 120)
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
