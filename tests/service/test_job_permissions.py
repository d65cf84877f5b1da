"""A job is one right, and the files that it made are another: for staff who have only the first."""

import json

import pytest

from tests.support.admin_client import Browser
from tests.support.in_server import accounts
from tests.support.server import Server
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(quick_server: Server) -> Server:
    return quick_server


@pytest.fixture(scope="module")
def clerk(server: Server) -> str:
    """Sees and deletes jobs, and sees no files."""
    server.tokens["clerk"] = server.call(accounts.make_staff, "clerk", ["view_job", "delete_job"])
    return "clerk"


@pytest.fixture
def job(server: Server, clip: bytes) -> str:
    file = server.put("film.mp4", clip).json()["id"]
    order = json.dumps({"operation": "thumbnail", "file": file, "params": {"width": 64}}).encode()
    made = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}).json()
    path = f"/api/v1/jobs/{made['id']}/"
    wait_until(lambda: server.get(f"{path}?wait=30", user="alice").json()["status"] == "succeeded", 60)
    return path


def artifact(server: Server, job: str) -> str:
    [made] = server.get(job, user="alice").json()["artifacts"]
    return f"{job}artifacts/{made['name']}"


def test_the_bytes_of_an_artifact_are_for_those_who_may_see_files(server: Server, clerk: str, job: str) -> None:
    path = artifact(server, job)
    assert server.get(job, user=clerk).status == 200
    assert [server.get(path, user=user).status for user in ("alice", "viewer", clerk, "bob")] == [200, 200, 404, 404]


def test_files_go_with_their_job_only_for_those_who_may_delete_files(server: Server, clerk: str, job: str) -> None:
    path = artifact(server, job)
    refused = server.request("DELETE", job, user=clerk)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert server.get(path, user="alice").status == 200  # nothing is half done
    assert server.request("DELETE", f"{job}?keep=artifacts", user=clerk).status == 204


def test_the_admin_refuses_it_too(server: Server, clerk: str, job: str) -> None:
    path, browser = artifact(server, job), Browser(server)
    browser.sign_in(clerk)
    page = f"/admin/media_jobs/job/{job.split('/')[-2]}/"
    seen = browser.request("GET", f"{page}change/")
    assert (seen.status, path in seen.body.decode()) == (200, False)
    assert "Your account may not view files." in seen.body.decode()
    browser.post(f"{page}delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": job.split("/")[-2], "post": "yes"}
    browser.post("/admin/media_jobs/job/", chosen)
    assert server.get(path, user="alice").status == 200
