"""An installation of release 0.1.0, which kept no sidecars, tombstones or snapshots, is upgraded without a loss."""

import json
from typing import Any

import pytest

from config import first_start
from tests.support.films import sha256
from tests.support.in_server import jobs as job_rows
from tests.support.local_store import Film
from tests.support.running_servers import StartServer
from tests.support.server import Server, query
from tests.support.tus_client import Client
from tests.support.waiting import wait_until

pytestmark = pytest.mark.local_disk


def test_data_of_release_0_1_0_is_all_there_and_gets_its_sidecars(
    start_server: StartServer, clip: bytes, film: Film
) -> None:
    server = start_server()
    files = furnish(server, clip, film())
    path, content = half_an_upload(server, film())
    before = jobs(server)
    assert {status for _, status, _ in before} == {
        "uploading", "queued", "running", "succeeded", "failed", "cancelled"
    }  # fmt: skip
    server.kill()

    server.manage("migrate", "media_jobs", "0002_lists")
    server.manage("migrate", "uploads", "0003_lists")  # the tables of release 0.1.0
    assert not (server.media / "meta").exists()  # housekeeping, which writes the sidecars, has not run
    server.call(first_start.prepare)
    server.start()
    assert jobs(server) == before
    for file in files:
        assert server.get(f"/api/v1/files/{file['id']}/", user="alice").json() == file
        body = server.get(f"/api/v1/files/{file['id']}/content", user="alice").body
        assert sha256(body) == file["sha256"]
    assert Client(server).finish(path, content) == len(content) // 2

    server.manage("housekeeping", "--once")
    sidecars = {entry.stem for entry in server.media.glob("meta/*/*.json")}
    known = "SELECT b.key, f.id FROM uploads_mediafile f JOIN uploads_blob b ON b.id = f.blob_id"
    assert len(sidecars) == len(query(server, known)) >= len(files)
    assert {name.rpartition(".")[2] for name in sidecars} >= {file["id"] for file in files}
    assert "no problems found" in server.manage("fsck", "--deep", "--grace", "0").stdout


def furnish(server: Server, clip: bytes, no_film: bytes) -> list[dict[str, Any]]:
    """Files, what a job made, and a job in each state."""
    worker = server.start_worker()
    whole = server.put("whole.mp4", clip).json()
    broken = server.put("broken.mp4", no_film).json()  # it only begins like a film: its inspection fails
    server.put("the%20same.mp4", clip)
    wait_until(lambda: not [job for job in jobs(server) if job[1] in {"queued", "running"}], 60, lambda: server.log)
    worker.kill()
    worker.wait()
    server.helpers.clear()
    submit(server, file=whole["id"], params={"width": 100})
    running = submit(server, file=whole["id"], params={"width": 120})
    server.call(job_rows.run_job_row, running)
    cancelled = submit(server, file=whole["id"], params={"width": 140})
    assert server.request("POST", f"/api/v1/jobs/{cancelled}/cancel/").status == 200
    submit(server, upload={"name": "later.mp4", "size": 100_000})
    found: list[dict[str, Any]] = server.get("/api/v1/files/", user="alice").json()["results"]
    assert len(found) > 3  # with the poster that the inspection made
    assert {whole["id"], broken["id"]} < {file["id"] for file in found}
    return found


def submit(server: Server, **order: Any) -> str:
    body = json.dumps({"operation": "thumbnail", **order}).encode()
    answer = server.request("POST", "/api/v1/jobs/", body, {"Content-Type": "application/json"})
    assert answer.status in {201, 202}, answer
    return str(answer.json()["id"])


def half_an_upload(server: Server, content: bytes) -> tuple[str, bytes]:
    client = Client(server)
    path = client.new(len(content))
    assert client.patch(path, 0, content[: len(content) // 2]).status == 204
    return path, content


def jobs(server: Server) -> list[tuple[Any, ...]]:
    return query(server, "SELECT id, status, message FROM media_jobs_job ORDER BY id")
