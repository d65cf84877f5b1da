"""Processes that run jobs: as many at once as there are slots, each for as long as a job may take, gone together."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.ffmpeg_clips import make
from tests.support.films import different_copy
from tests.support.job_requests import ended, submit
from tests.support.processes import environment_of, working_in
from tests.support.running_servers import StartServer
from tests.support.server import Server, query
from tests.support.waiting import wait_until

SLOTS = 2


@pytest.fixture
def slow_film(tmp_path: Path) -> bytes:
    """Five minutes, of a frame a second."""
    return make(tmp_path / "slow.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=1:duration=300").read_bytes()


def submit_long(server: Server, film: bytes) -> str:
    """A job that takes minutes on any machine: very many frames of it."""
    file = server.put("slow.mp4", different_copy(film)).json()["id"]
    return submit(server, file, codec="vp9", quality="high", fps=120)


def tools(server: Server) -> list[int]:
    """Every ffmpeg that works for us."""
    return working_in(server.home / "work")


def slots(server: Server) -> list[int]:
    return [int(pid) for (pid,) in query(server, "SELECT pid FROM media_jobs_worker ORDER BY pid")]


def busy(server: Server) -> list[int]:
    at_work = "media_jobs_job j JOIN media_jobs_worker w ON w.id = j.worker_id WHERE j.phase = 'working'"
    return [int(pid) for (pid,) in query(server, f"SELECT w.pid FROM {at_work} ORDER BY w.pid")]  # noqa: S608


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_so_many_slots_run_so_many_jobs_at_once_and_end_with_their_parent(
    how: signal.Signals, start_server: StartServer, slow_film: bytes
) -> None:
    server = start_server(JOB_THREADS="1")
    parent = server.run_beside("worker", "--lane", "heavy", "--slots", str(SLOTS))
    wait_until(lambda: len(slots(server)) == SLOTS, 90, lambda: server.log)
    pids = slots(server)
    jobs = [submit_long(server, slow_film) for _ in range(SLOTS + 1)]
    wait_until(lambda: busy(server) == pids and len(tools(server)) == SLOTS, 90, lambda: server.log)
    assert server.get(f"/api/v1/jobs/{jobs[-1]}/", user="alice").json()["status"] == "queued"

    os.kill(parent.pid, how)
    parent.wait(60)
    wait_until(lambda: not tools(server) and not any(map(environment_of, pids)), 30)
    if how == signal.SIGTERM:  # told in time, each has given back its job and said that it goes
        assert slots(server) == busy(server) == []


def test_a_job_that_takes_longer_than_it_may_fails_and_leaves_nothing(
    start_server: StartServer, slow_film: bytes
) -> None:
    server = start_server(JOB_TIMEOUT="2s", JOB_THREADS="1")
    server.start_worker("heavy")
    job = submit_long(server, slow_film)
    before = server.stored_bytes()
    found = ended(server, job)
    assert (found["status"], found["error"]["code"], found["attempt"]) == ("failed", "timed_out", 1)
    assert found["error"]["detail"].startswith("The job did not finish within 2 seconds.")
    assert found["artifacts"] == []
    assert server.stored_bytes() == before
    assert tools(server) == []
    assert list((server.home / "work").iterdir()) == []
