"""Jobs as clients of the API see them: a real server, and a worker of the quick lane. The heavy one has none."""

import itertools
import json
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.films import sha256
from tests.support.server import Answer, Server, form_end, form_part

Film = Callable[..., bytes]
JOBS = "/api/v1/jobs/"
JSON = {"Content-Type": "application/json"}
SUBTITLES = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"


@pytest.fixture(scope="module")
def server(quick_server: Server) -> Server:
    return quick_server


def keep(server: Server, content: bytes, name: str = "film.mp4", user: str = "alice") -> str:
    answer = server.put(name, content, user=user)
    assert answer.status == 201, answer
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def clip_id(server: Server, clip: bytes) -> str:
    return keep(server, clip)


def post(server: Server, path: str, data: object = None, user: str | None = "alice", **headers: str) -> Answer:
    body = b"" if data is None else json.dumps(data).encode()
    sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("POST", path, body, sent, user=user)


def order(server: Server, user: str | None = "alice", headers: dict[str, str] | None = None, **said: Any) -> Answer:
    return post(server, JOBS, said, user, **(headers or {}))


def submitted(server: Server, user: str = "alice", **said: Any) -> Any:
    answer = order(server, user, **said)
    assert answer.status in {201, 202}, answer
    return answer.json()


def waiting(server: Server, file: str, user: str = "alice", **said: Any) -> Any:
    """A job that nobody runs: of the heavy lane, and different_copy any other."""
    return submitted(server, user, operation="transcode", file=file, params={"end": 1 + next(_moments) / 100}, **said)


_moments = itertools.count()


def job(server: Server, job_id: str, user: str = "alice", **asked: Any) -> Any:
    answer = server.get(f"{JOBS}{job_id}/?{urlencode(asked)}", user=user)
    assert answer.status == 200, answer
    return answer.json()


def ended(server: Server, made: Any, user: str = "alice") -> Any:
    found = job(server, made["id"], user, wait=30)
    assert found["status"] in {"succeeded", "failed", "cancelled"}, found
    return found


def listed(server: Server, user: str = "alice", **asked: Any) -> list[str]:
    answer = server.get(f"{JOBS}?{urlencode(asked, doseq=True)}", user=user)
    assert answer.status == 200, answer
    return [found["id"] for found in answer.json()["results"]]


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


# What is refused


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"operation": "explode"}, None),
        ({"operation": 7}, None),
        ({}, "operation"),
        ({"operation": "thumbnail", "params": {"width": -1}}, "params"),
        ({"operation": "thumbnail", "params": {"wdith": 7}}, "params"),
        ({"operation": "thumbnail", "params": [7]}, "params"),
        ({"operation": "thumbnail", "params": "width"}, "params"),
        ({"operation": "thumbnail", "priority": 1}, None),
        ({"operation": "thumbnail", "priority": -11}, None),
        ({"operation": "thumbnail", "priority": "high"}, "priority"),
        ({"operation": "thumbnail", "inputs": ["x"]}, "inputs"),
        ({"operation": "thumbnail", "upload": {"name": "a.mp4", "size": 9}}, "file"),
        ({"operation": "thumbnail", "file": None}, "file"),
        ({"operation": "thumbnail", "perams": {}}, "perams"),
        ({"operation": "thumbnail", "\ud800": {}}, "?"),
        ({"operation": "thumbnail", "params": {"\ud800": 1}}, "params"),
        ({"operation": "thumbnail", "params": {"at": 99}}, None),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_carried_out_is_refused_in_words(
    said: dict[str, Any], field: str | None, server: Server, clip_id: str
) -> None:
    ended(server, {"id": listed(server, file=clip_id, operation="inspect")[0]})
    before = listed(server)
    answer = order(server, **({"file": clip_id} | said))
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert answer.json()["detail"]
    assert set(answer.json().get("errors", {})) == ({field} if field else set())
    assert listed(server) == before


def test_each_wrong_parameter_is_named(server: Server, clip_id: str) -> None:
    answer = order(server, operation="thumbnail", file=clip_id, params={"width": -1, "format": "gif"})
    assert set(answer.json()["errors"]["params"]) == {"width", "format"}


def test_neither_a_file_nor_an_upload_is_refused(server: Server) -> None:
    answer = order(server, operation="thumbnail")
    assert (answer.status, answer.code, set(answer.json()["errors"])) == (400, "invalid_params", {"file"})


def test_a_file_of_the_wrong_kind_is_refused(server: Server) -> None:
    answer = order(server, operation="transcode", file=keep(server, SUBTITLES, "a.srt"))
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert "works on video, but a.srt is subtitle" in answer.json()["detail"]


def test_staff_alone_may_let_a_job_pass_the_others(server: Server, clip_id: str) -> None:
    assert waiting(server, clip_id, priority=-10)["priority"] == -10
    assert waiting(server, clip_id, "operator", priority=10)["priority"] == 10
    answer = order(server, "operator", operation="thumbnail", file=clip_id, priority=11)
    assert (answer.status, answer.code) == (400, "invalid_params")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "?wait=long"), ("GET", "?wait=-1"), ("GET", "events/?after=x"), ("GET", "events/?after=-1"),
     ("DELETE", "?keep=everything")],
)  # fmt: skip
def test_odd_questions_are_refused(method: str, path: str, server: Server, clip_id: str) -> None:
    made = listed(server, file=clip_id, operation="inspect")[0]
    answer = server.request(method, f"{JOBS}{made}/{path}")
    assert (answer.status, answer.code) == (400, "invalid_params")


def test_a_body_that_is_no_json_is_refused(server: Server) -> None:
    for body, headers, status, code in (
        (b"{", JSON, 400, "invalid_request"),
        (b"[]", JSON, 400, "invalid_params"),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_request"),
    ):
        answer = server.request("POST", JOBS, body, headers)
        assert (answer.status, answer.code) == (status, code)


def test_json_has_no_room_for_a_film(server: Server) -> None:
    answer = server.request("POST", JOBS, b" " * (2 << 20), JSON)
    assert (answer.status, answer.code) == (413, "too_large")


# The same request twice


def test_a_repeated_request_is_answered_with_the_same_job(server: Server, clip_id: str) -> None:
    key = {"Idempotency-Key": "again"}
    said: dict[str, Any] = {"operation": "thumbnail", "file": clip_id, "params": {"width": 106}}
    first, second = order(server, headers=key, **said), order(server, headers=key, **said)
    assert (first.status, second.status) == (202, 202)
    assert first.headers["Idempotency-Replayed"] is None
    assert second.headers["Idempotency-Replayed"] == "true"
    assert first.json()["id"] == second.json()["id"]
    other = order(server, headers=key, **(said | {"params": {"width": 107}}))
    assert (other.status, other.code) == (422, "key_reused")
    assert order(server, "operator", headers=key, **said).json()["id"] != first.json()["id"]


# A job before its file


def announced(server: Server, content: bytes, headers: dict[str, str] | None = None, **said: Any) -> Answer:
    upload = {"name": "later.mp4", "size": len(content), "metadata": {"reel": "7"}}
    return order(server, headers=headers, **({"operation": "thumbnail", "upload": upload} | said))


def send(server: Server, url: str, content: bytes, offset: int = 0) -> Answer:
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
    return server.request("PATCH", urlsplit(url).path, content, headers)


def test_a_job_waits_for_its_upload_and_runs_when_that_is_complete(server: Server, clip: bytes) -> None:
    content = clip + b"3" * 9
    answer = announced(server, content, params={"width": 108})
    made = answer.json()
    assert (answer.status, made["status"], made["file"]) == (201, "uploading", None)
    assert made["waiting_for"] == "Its upload, at 0 %."
    head = server.request("HEAD", urlsplit(made["upload_url"]).path, headers={"Tus-Resumable": "1.0.0"})
    assert head.headers["Upload-Length"] == str(len(content))
    assert head.headers["Upload-Metadata"] == "filename bGF0ZXIubXA0,reel Nw=="
    assert send(server, made["upload_url"], content[:50_000]).status == 204
    assert send(server, made["upload_url"], content[50_000:], 50_000).status == 204
    done = ended(server, made)
    assert done["status"] == "succeeded"
    assert server.get(f"/api/v1/files/{done['file']}/", user="alice").json()["name"] == "later.mp4"


def test_the_bytes_of_an_announced_upload_may_come_in_one_plain_put(server: Server, clip: bytes) -> None:
    content = clip + b"7" * 9
    made = announced(server, content, params={"width": 112}).json()
    path = urlsplit(made["upload_url"]).path
    short = server.request("PUT", path, content[:-1])
    assert (short.status, short.code) == (400, "invalid_params")
    damaged = server.request("PUT", path, content, {"Content-Digest": f"sha-256=:{'A' * 43}=:"})
    assert (damaged.status, damaged.code) == (400, "digest_mismatch")
    cut = server.request("PUT", path, [content[:50_000]], chunked=True)
    assert (cut.status, cut.code) == (400, "incomplete_body")
    again = server.request("PUT", path, content)
    assert (again.status, again.code) == (409, "offset_mismatch")
    assert send(server, made["upload_url"], content[50_000:], 50_000).status == 204
    assert ended(server, made)["status"] == "succeeded"
    other = announced(server, content + b"8", params={"width": 113}).json()
    sent = server.request("PUT", urlsplit(other["upload_url"]).path, content + b"8")
    assert (sent.status, sent.json()["name"]) == (201, "later.mp4")
    assert ended(server, other)["file"] == sent.json()["id"]


def test_a_job_fails_with_its_upload_or_when_that_is_of_the_wrong_kind(server: Server) -> None:
    lost, unfit = announced(server, SUBTITLES).json(), announced(server, SUBTITLES).json()
    headers = {"Tus-Resumable": "1.0.0"}
    assert server.request("DELETE", urlsplit(lost["upload_url"]).path, headers=headers).status == 204
    assert send(server, unfit["upload_url"], SUBTITLES).status == 204
    assert job(server, lost["id"])["error"]["code"] == "upload_failed"
    assert job(server, unfit["id"])["error"]["code"] == "unfit_media"


def test_a_refused_job_begins_no_upload_and_a_repeated_one_none_either(server: Server) -> None:
    def uploads() -> int:
        return len(server.get("/api/v1/uploads/?state=receiving&page_size=500", user="alice").json()["results"])

    before = uploads()
    for said in (
        {"operation": "explode"}, {"params": {"width": -1}}, {"upload": {"name": "", "size": 9}},
        {"upload": {"name": "a.mp4", "size": 0}}, {"upload": {"name": "a.mp4"}},
    ):  # fmt: skip
        assert announced(server, SUBTITLES, **said).status == 400
    assert uploads() == before
    key = {"Idempotency-Key": "later"}
    first, second = announced(server, SUBTITLES, key), announced(server, SUBTITLES, key)
    assert (first.status, second.status, second.headers["Idempotency-Replayed"]) == (201, 201, "true")
    assert first.json()["upload_url"] == second.json()["upload_url"]
    assert announced(server, SUBTITLES + b" ", key).code == "key_reused"
    assert uploads() == before + 1


# A file and its job in one request


def a_form(fields: dict[str, str], content: bytes, *after: bytes, name: str = "film.mp4") -> bytes:
    before = b"".join(form_part(field, value.encode()) for field, value in fields.items())
    return before + form_part("file", content, name) + b"".join(after) + form_end()


def test_a_form_uploads_and_is_processed_in_one_request(server: Server, clip: bytes) -> None:
    form = a_form({"operation": "thumbnail", "params": '{"width": 109}', "priority": "-1"}, clip + b"4" * 9)
    answer = server.post_form(form, path=JOBS)
    made = answer.json()
    assert answer.status == 202
    assert (made["params"]["width"], made["priority"]) == (109, -1)
    done = ended(server, made)
    assert done["status"] == "succeeded"
    assert server.get(f"/api/v1/files/{done['file']}/", user="alice").json()["name"] == "film.mp4"


def test_what_is_wrong_with_a_form_is_said_before_its_file_is_read(server: Server, clip: bytes) -> None:
    # The file never comes: whoever waited for it would not answer.
    for fields, code in (
        ({"operation": "thumbnail", "params": '{"width": -1}'}, "invalid_params"),
        ({"operation": "thumbnail", "params": "{"}, "invalid_params"),
        ({"operation": "thumbnail", "perams": "{}"}, "invalid_params"),
        ({"operation": "explode"}, "invalid_params"),
        ({}, "invalid_params"),
        ({"operation": "thumbnail", "inputs": str(uuid.uuid4())}, "not_found"),
    ):
        head = a_form(fields, clip)[: -len(clip)]
        request = (
            f"POST {JOBS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.tokens['alice']}\r\n"
            f"Content-Type: multipart/form-data; boundary=b0undary\r\nContent-Length: 50000000\r\n\r\n"
        )
        answer = server.raw(request.encode() + head)
        assert f'"code":"{code}"'.encode() in answer, (fields, answer)


def test_nothing_is_kept_of_a_form_whose_job_is_refused(server: Server, clip: bytes) -> None:
    def files() -> int:  # uploaded ones: jobs of the other tests may end meanwhile
        return len(server.get("/api/v1/files/?origin=upload&page_size=500", user="alice").json()["results"])

    before = files()
    late = form_part("params", b'{"width": 7}')
    for form, code in (
        (a_form({"operation": "thumbnail"}, clip + b"5" * 9, late), "malformed_form"),
        (a_form({"operation": "transcode"}, SUBTITLES, name="a.srt"), "invalid_params"),
        (form_part("operation", b"thumbnail") + form_end(), "missing_file"),
    ):
        answer = server.post_form(form, path=JOBS)
        assert (answer.status, answer.code) == (400, code)
    answer = server.post_form(a_form({"operation": "thumbnail"}, clip, late), path=JOBS)
    assert "before the file" in answer.json()["detail"]
    assert files() == before


def test_a_repeated_form_is_answered_with_the_same_job_and_not_read(server: Server, clip: bytes) -> None:
    form = a_form({"operation": "thumbnail", "params": '{"width": 110}'}, clip + b"6" * 9)
    key = {"Idempotency-Key": "form"}
    first, second = (server.post_form(form, path=JOBS, headers=key) for _ in range(2))
    assert (first.status, second.status, second.headers["Idempotency-Replayed"]) == (202, 202, "true")
    assert first.json()["id"] == second.json()["id"]
    other = server.post_form(form.replace(b"110", b"111"), path=JOBS, headers=key)
    assert (other.status, other.code) == (422, "key_reused")
    assert len(listed(server, file=first.json()["file"], operation="thumbnail")) == 1
