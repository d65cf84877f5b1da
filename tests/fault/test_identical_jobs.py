"""The same job ten times at once, on two real workers without housekeeping: run once, and again if it must be."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from media_jobs.queue import lanes
from tests.support.ffmpeg_clips import cut, make
from tests.support.films import different_copy
from tests.support.job_requests import ended, submit
from tests.support.processes import stopped_at_work
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.waiting import wait_until

WORKERS = 2
LONG = {"codec": "vp9", "quality": "high", "fps": 120}  # some seconds
Ten = Callable[..., list[str]]


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Who could not renew it for half of its time gives a job up: a busy machine may write nothing for seconds.
    with running(template, tmp_path_factory, LEASE="10s") as made:
        for _ in range(WORKERS):
            made.start_worker("heavy")
        yield made


@pytest.fixture
def ten(server: Server, clip: bytes) -> Ten:
    """Submit the same ten times at once, on a film that nobody has seen."""

    def order(film: bytes | None = None, **params: Any) -> list[str]:
        file = str(server.put("film.mp4", film or different_copy(clip)).json()["id"])
        with ThreadPoolExecutor(10) as pool:
            return list(pool.map(lambda _: submit(server, file, **params), range(10)))

    return order


def leader(server: Server) -> tuple[str, int]:
    """The job that runs, and the process that runs it."""
    run_by = "media_jobs_job j JOIN media_jobs_worker w ON w.id = j.worker_id"
    statement = f"SELECT j.id, w.pid FROM {run_by} WHERE j.phase = 'working'"  # noqa: S608  # our own words
    [(job, pid)] = wait_until(lambda: query(server, statement), 30)
    return str(job), int(pid)


def runs(server: Server, jobs: list[str]) -> list[str]:
    """What is told of the attempts at all of them together."""
    events = [event for job in jobs for event in server.get(f"/api/v1/jobs/{job}/events/", user="alice").json()]
    return [event["detail"] for event in events if event["state"] == "running"]


def results(server: Server, jobs: list[str]) -> tuple[int, int]:
    """How many files they have made, and of how many different contents."""
    files = [artifact["file"] for job in jobs for artifact in ended(server, job)["artifacts"]]
    return len(files), len({server.get(f"/api/v1/files/{file}/", user="alice").json()["sha256"] for file in files})


def test_it_is_run_once_and_all_have_what_it_made(server: Server, ten: Ten) -> None:
    jobs = ten(height=90)
    assert [ended(server, job)["status"] for job in jobs] == ["succeeded"] * 10
    assert runs(server, jobs) == ["attempt 1"]
    assert results(server, jobs) == (10, 1)


def test_a_failure_that_would_come_again_is_that_of_all(server: Server, ten: Ten, tmp_path: Path) -> None:
    # Who submits after a failure is not answered by that. So no worker begins before all are submitted.
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x180:duration=4", "-pix_fmt", "yuv420p")
    film = make(tmp_path / "film.mp4", *source, "-movflags", "+faststart")
    server.call(lanes.pause, "heavy")
    jobs = ten(cut(film, 0.8).read_bytes(), height=90)
    server.call(lanes.resume, "heavy")
    assert {ended(server, job)["error"]["code"] for job in jobs} == {"bad_media"}
    assert runs(server, jobs) == ["attempt 1"]


def test_of_one_that_is_cancelled_another_takes_the_place(server: Server, ten: Ten) -> None:
    jobs = ten(**LONG)
    with stopped_at_work(server.home / "work"):
        first, _ = leader(server)
        assert server.request("POST", f"/api/v1/jobs/{first}/cancel/").status == 200
    assert sorted(ended(server, job)["status"] for job in jobs) == ["cancelled"] + ["succeeded"] * 9
    assert runs(server, jobs) == ["attempt 1"] * 2
    assert results(server, jobs) == (9, 1)


def test_what_a_killed_worker_lost_an_idle_one_takes_back_and_runs_once_more(server: Server, ten: Ten) -> None:
    jobs = ten(**LONG)
    with stopped_at_work(server.home / "work"):
        first, worker = leader(server)
        os.kill(worker, signal.SIGKILL)
    try:
        assert [ended(server, job)["status"] for job in jobs] == ["succeeded"] * 10
    finally:
        server.start_worker("heavy")
    assert runs(server, jobs) == ["attempt 1", "attempt 2"]
    assert results(server, jobs) == (10, 1)
    lost = server.get(f"/api/v1/jobs/{first}/events/?after=2", user="alice").json()[0]
    assert (lost["state"], lost["detail"]) == ("queued", "its worker was lost")
    wait_until(lambda: not list((server.home / "work").iterdir()), 30)
