"""Jobs as clients of the API see them: a real server, and a worker of the quick lane. The heavy one has none."""

import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.films import sha256
from tests.support.job_orders import JOBS, a_form, ended, job, keep, listed, order, post, submitted, waiting
from tests.support.server import Server

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(quick_server: Server) -> Server:
    return quick_server


@pytest.fixture(scope="module")
def clip_id(server: Server, clip: bytes) -> str:
    return keep(server, clip)


# Operations


def test_operations_are_listed_with_the_schema_of_their_parameters(server: Server) -> None:
    found = {item["name"]: item for item in server.get("/api/v1/operations/", user="alice").json()}
    assert {"inspect", "thumbnail", "transcode", "audio"} <= found.keys()
    thumbnail = found["thumbnail"]
    assert (thumbnail["lane"], thumbnail["kinds"], thumbnail["title"]) == ("quick", ["image", "video"], "Thumbnail")
    assert thumbnail["parameters"]["properties"]["width"]["maximum"] > 1000
    assert thumbnail["version"] >= 1
    assert thumbnail["summary"].endswith(".")


# A job from its order to its end


def test_a_job_is_accepted_runs_and_hands_out_what_it_made(server: Server, clip_id: str) -> None:
    answer = order(server, operation="thumbnail", file=clip_id, params={"width": 100})
    accepted = answer.json()
    assert answer.status == 202
    assert accepted["job_id"] == accepted["id"]
    assert accepted["status_url"] == accepted["urls"]["self"] == answer.headers["Location"]
    assert urlsplit(accepted["status_url"]).path == f"{JOBS}{accepted['id']}/"
    done = ended(server, accepted)
    assert set(done) >= {
        "id", "status", "progress", "message", "operation", "version", "params", "file", "inputs", "artifacts",
        "error", "attempt", "cached", "waiting_for", "speed", "eta_seconds", "created_at", "started_at",
        "finished_at", "urls", "phase", "priority", "owner", "command", "log",
    }  # fmt: skip
    assert (done["status"], done["progress"], done["error"], done["attempt"]) == ("succeeded", 1, None, 1)
    assert (done["file"], done["owner"], done["params"]["width"]) == (clip_id, "alice", 100)
    assert (done["waiting_for"], done["cached"]) == (None, False)
    assert "ffmpeg" in done["command"]
    [artifact] = done["artifacts"]
    made = server.get(f"/api/v1/files/{artifact['file']}/", user="alice").json()
    assert (made["origin"], made["kind"], made["owner"]) == ("job", "image", "alice")
    picture = server.get(f"{JOBS}{done['id']}/artifacts/{artifact['name']}", user="alice")
    assert (picture.status, sha256(picture.body)) == (200, made["sha256"])
    head = server.request("HEAD", f"{JOBS}{done['id']}/artifacts/{artifact['name']}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(made["size"]), b"")


def test_the_past_of_a_job_is_numbered_and_told_from_any_number_on(server: Server, clip_id: str) -> None:
    done = ended(server, submitted(server, operation="thumbnail", file=clip_id, params={"width": 101}))
    events = f"{JOBS}{done['id']}/events/"
    past = server.get(events, user="alice").json()
    assert [(event["number"], event["state"]) for event in past] == [(1, "queued"), (2, "running"), (3, "succeeded")]
    assert server.get(f"{events}?after=2", user="alice").json() == past[2:]
    assert server.get(f"{events}?after=3", user="alice").json() == []


def test_the_same_again_is_answered_at_once_and_says_so(server: Server, clip_id: str) -> None:
    said: dict[str, Any] = {"operation": "thumbnail", "file": clip_id, "params": {"width": 102}}
    first = ended(server, submitted(server, **said))
    again = order(server, **said)
    answer = again.json()
    assert again.status == 202
    assert (answer["status"], answer["cached"], answer["job_id"]) == ("succeeded", True, answer["id"])
    assert answer["id"] != first["id"]
    assert [artifact["name"] for artifact in answer["artifacts"]] == [one["name"] for one in first["artifacts"]]


def test_every_file_that_comes_is_inspected_and_shows_its_facts(server: Server, clip_id: str) -> None:
    [inspection] = listed(server, file=clip_id, operation="inspect")
    assert job(server, inspection, wait=30)["status"] == "succeeded"
    assert server.get(f"/api/v1/files/{clip_id}/", user="alice").json()["facts"]["duration"] == pytest.approx(
        3, abs=0.1
    )


def test_a_job_that_fails_says_why_and_can_be_retried(server: Server, film: Film) -> None:
    made = submitted(server, operation="thumbnail", file=keep(server, film()), params={"at": 1})
    failed = ended(server, made)
    assert failed["status"] == "failed"
    assert failed["error"]["code"]
    assert failed["error"]["detail"].endswith(".")
    assert failed["progress"] < 1
    again = post(server, f"{JOBS}{made['id']}/retry/")
    assert (again.status, again.json()["error"]) == (200, None)
    past = server.get(f"{JOBS}{made['id']}/events/", user="alice").json()
    assert [event["state"] for event in past][:4] == ["queued", "running", "failed", "queued"]


# Waiting


def test_a_job_says_what_it_waits_for(server: Server, clip: bytes) -> None:
    file = keep(server, clip, user="carol")
    first = waiting(server, file, "carol")
    assert first["waiting_for"] == "A worker: the lane heavy has no running worker."
    follower = submitted(server, "carol", operation="transcode", file=file, params=first["params"])
    assert follower["waiting_for"] == f"The result of job {first['id']}, which is identical."


def test_who_waits_for_a_job_is_answered_when_the_time_is_over_or_the_job_is(server: Server, clip_id: str) -> None:
    made = waiting(server, clip_id)
    began = time.monotonic()
    assert job(server, made["id"], wait=0.6)["status"] == "queued"
    assert 0.5 < time.monotonic() - began < 10
    post(server, f"{JOBS}{made['id']}/cancel/")
    began = time.monotonic()
    assert job(server, made["id"], wait=50)["status"] == "cancelled"
    assert time.monotonic() - began < 10


# Cancel, retry, delete


def test_a_queued_job_is_cancelled_at_once_and_queued_again_by_a_retry(server: Server, clip_id: str) -> None:
    made = waiting(server, clip_id)
    cancelled = post(server, f"{JOBS}{made['id']}/cancel/")
    assert (cancelled.status, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["finished_at"]
    again = post(server, f"{JOBS}{made['id']}/retry/")
    assert (again.status, again.json()["status"], again.json()["finished_at"]) == (200, "queued", None)


def test_what_has_ended_is_not_cancelled_and_success_not_retried(server: Server, clip_id: str) -> None:
    done = ended(server, submitted(server, operation="thumbnail", file=clip_id, params={"width": 103}))
    for verb in ("cancel", "retry"):
        refused = post(server, f"{JOBS}{done['id']}/{verb}/")
        assert (refused.status, refused.code) == (409, "already_finished")


def test_an_unfinished_job_is_not_deleted_not_retried_and_holds_its_file(server: Server, clip: bytes) -> None:
    file = keep(server, clip + b"0" * 9)
    made = waiting(server, file)
    for method, path in (
        ("DELETE", f"{JOBS}{made['id']}/"),
        ("POST", f"{JOBS}{made['id']}/retry/"),
        ("DELETE", f"/api/v1/files/{file}/"),
    ):
        refused = server.request(method, path)
        assert (refused.status, refused.code) == (409, "in_use"), path
    post(server, f"{JOBS}{made['id']}/cancel/")
    assert server.request("DELETE", f"{JOBS}{made['id']}/").status == 204
    assert server.get(f"{JOBS}{made['id']}/", user="alice").status == 404
    assert server.request("DELETE", f"/api/v1/files/{file}/").status == 204


def test_a_deleted_job_takes_along_what_it_made_unless_that_is_to_be_kept(server: Server, clip_id: str) -> None:
    for width, asked, status in ((104, "", 404), (105, "?keep=artifacts", 200)):
        done = ended(server, submitted(server, operation="thumbnail", file=clip_id, params={"width": width}))
        assert server.request("DELETE", f"{JOBS}{done['id']}/{asked}").status == 204
        assert server.get(f"/api/v1/files/{done['artifacts'][0]['file']}/", user="alice").status == status


# Lists


def test_the_newest_jobs_come_first_and_a_list_is_narrowed(server: Server, clip: bytes) -> None:
    file = keep(server, clip + b"1" * 9, user="carol")
    other = keep(server, clip + b"2" * 9, user="carol")
    first = waiting(server, file, "carol")
    second = order(
        server, "carol", {"Idempotency-Key": "carols"}, operation="thumbnail", file=other, params={"width": 50}
    ).json()
    ended(server, second, "carol")

    def found(**asked: Any) -> list[str]:
        mine = {first["id"], second["id"]}
        return [job_id for job_id in listed(server, "carol", **asked) if job_id in mine]

    assert found() == [second["id"], first["id"]]
    assert found(status="queued") == [first["id"]]
    assert found(status=["queued", "succeeded"]) == [second["id"], first["id"]]
    assert found(operation="thumbnail") == [second["id"]]
    assert found(file=file) == [first["id"]]
    assert found(key="carols") == [second["id"]]
    assert found(owner="alice") == []
    assert found(created_after=second["created_at"]) == [second["id"]]
    assert found(created_before=second["created_at"]) == [first["id"]]
    page = server.get(f"{JOBS}?page_size=1", user="carol").json()
    assert [item["id"] for item in page["results"]] == [second["id"]]
    assert page["next"]


@pytest.mark.parametrize(
    "asked", [{"status": "done"}, {"file": "x"}, {"created_after": "yesterday"}]
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_a_problem(asked: dict[str, str], server: Server) -> None:
    answer = server.get(f"{JOBS}?{urlencode(asked)}", user="alice")
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert set(answer.json()["errors"]) == set(asked)


# Whose jobs


def test_nobody_sees_or_steers_the_jobs_of_others(server: Server, clip_id: str) -> None:
    made = waiting(server, clip_id)
    assert made["id"] not in listed(server, "bob")
    for method, path in (
        ("GET", ""), ("GET", "events/"), ("GET", "artifacts/x"), ("POST", "cancel/"), ("POST", "retry/"),
        ("DELETE", ""),
    ):  # fmt: skip
        answer = server.request(method, f"{JOBS}{made['id']}/{path}", user="bob")
        assert (answer.status, answer.code) == (404, "not_found"), path


def test_the_file_of_another_is_as_good_as_none(server: Server, clip_id: str, clip: bytes) -> None:
    mine = keep(server, clip, user="bob")
    for said in ({"file": clip_id}, {"file": str(uuid.uuid4())}, {"file": mine, "inputs": [clip_id]}):
        answer = order(server, "bob", operation="thumbnail", **said)
        assert (answer.status, answer.code) == (404, "not_found")


def test_a_viewer_sees_all_jobs_and_acts_on_none(server: Server, clip_id: str) -> None:
    made = waiting(server, clip_id)
    assert job(server, made["id"], "viewer")["owner"] == "alice"
    assert made["id"] in listed(server, "viewer", owner="alice", status="queued", page_size=500)
    for answer in (
        order(server, "viewer", operation="thumbnail", file=clip_id),
        post(server, f"{JOBS}{made['id']}/cancel/", user="viewer"),
        post(server, f"{JOBS}{made['id']}/retry/", user="viewer"),
        server.request("DELETE", f"{JOBS}{made['id']}/", user="viewer"),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")


def test_an_operator_steers_jobs_of_others_and_works_on_their_files(server: Server, clip_id: str) -> None:
    made = waiting(server, clip_id)
    assert post(server, f"{JOBS}{made['id']}/cancel/", user="operator").json()["status"] == "cancelled"
    assert server.request("DELETE", f"{JOBS}{made['id']}/", user="operator").status == 204
    done = ended(server, submitted(server, "operator", operation="thumbnail", file=clip_id), "operator")
    assert (done["status"], done["owner"]) == ("succeeded", "operator")


def test_without_saying_who_one_is_one_gets_nothing(server: Server, clip_id: str) -> None:
    for answer in (
        server.get(JOBS),
        server.get("/api/v1/operations/"),
        order(server, None, operation="thumbnail", file=clip_id),
        server.post_form(a_form({"operation": "thumbnail"}, b"x"), path=JOBS, user=None),
    ):
        assert (answer.status, answer.code) == (401, "unauthenticated")
