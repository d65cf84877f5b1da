"""A disk that holds everything, and is filled: jobs stop in time, and people can still cancel and delete."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import different_copy
from tests.support.processes import stopped_at_work, working_in
from tests.support.server import Server, Template
from tests.support.small_disks import MIB, fill, fill_but, filler, small_disk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.local_disk


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("small"), 64 * MIB) as made:
        yield made


@pytest.fixture(scope="module")
def server(template: Template, disk: Path) -> Iterator[Server]:
    home = disk / "home"
    made = Server(home, template.tokens, template.copy_to(home), {"MIN_FREE": "4MiB", "JOB_THREADS": "1"})
    try:
        made.start()
        made.start_worker("heavy")
        made.run_beside("housekeeping")
        wait_until((home / "ballast").exists)
        yield made
    finally:
        made.end()


@pytest.fixture(autouse=True)
def emptied(disk: Path) -> Iterator[None]:
    yield
    filler(disk).unlink(missing_ok=True)


def submit(server: Server, file: str) -> str:
    order = json.dumps({"operation": "transcode", "params": {}, "file": file}).encode()
    answer = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"})
    return str(answer.json()["id"])


def job_now(server: Server, job: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
    return found


def room_check(server: Server) -> str:
    return str(server.get("/readyz").json()["checks"]["room"])


def test_a_job_under_which_the_disk_comes_to_its_floor_is_stopped(server: Server, disk: Path, clip: bytes) -> None:
    job = submit(server, server.put("film.mp4", different_copy(clip)).json()["id"])
    with stopped_at_work(server.home / "work"):  # it would go on for as long as we like
        fill_but(disk, 3 * MIB)
        found = wait_until(lambda: (now := job_now(server, job))["status"] == "queued" and now, 60)
    assert found["message"] == "The server's disk is full."
    assert working_in(server.home / "work") == []
    assert list((server.home / "work").iterdir()) == []
    assert "MILLRACE_MIN_FREE" in room_check(server)
    assert "ballast" not in room_check(server)
    assert server.request("POST", f"/api/v1/jobs/{job}/cancel/").json()["status"] == "cancelled"


def test_on_a_disk_filled_to_the_last_byte_cancel_delete_and_upload_work(
    server: Server, disk: Path, clip: bytes, film: Callable[..., bytes]
) -> None:
    ballast = server.home / "ballast"
    whole = wait_until(lambda: ballast.stat().st_size)
    assert MIB < whole < 64 * MIB // 20
    large = server.put("large.mp4", film(30 * MIB)).json()["id"]
    file = server.put("film.mp4", different_copy(clip)).json()["id"]
    job = submit(server, file)
    with stopped_at_work(server.home / "work"):

        def is_half_released() -> bool:
            fill(disk)
            return ballast.stat().st_size < whole

        wait_until(is_half_released)
        fill(disk)  # this also takes the part of the ballast that was released by now
        assert server.put("next.mp4", film(MIB)).status == 507
        assert "ballast" in room_check(server)
        cancelled = server.request("POST", f"/api/v1/jobs/{job}/cancel/")
    assert cancelled.status == 200, cancelled
    wait_until(lambda: job_now(server, job)["status"] == "cancelled", 60, lambda: server.log)
    for name in (file, large):
        deleted = server.request("DELETE", f"/api/v1/files/{name}/")
        assert deleted.status == 204, deleted
    assert server.put("next.mp4", film(MIB)).status == 201
    wait_until(lambda: ballast.stat().st_size == whole)
    wait_until(lambda: room_check(server) == "ok")
    assert server.is_running
    assert [helper.poll() for helper in server.helpers] == [None, None]
