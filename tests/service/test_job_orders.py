"""Orders of jobs: which are refused, which are repeated, and which come before their file or together with it."""

import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.job_orders import JOBS, JSON, a_form, ended, job, keep, listed, order, post, waiting
from tests.support.server import Answer, Server, form_end, form_part

SUBTITLES = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"


@pytest.fixture(scope="module")
def server(quick_server: Server) -> Server:
    return quick_server


@pytest.fixture(scope="module")
def clip_id(server: Server, clip: bytes) -> str:
    return keep(server, clip)


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


def test_a_form_uploads_and_is_processed_in_one_request(server: Server, clip: bytes) -> None:
    form = a_form({"operation": "thumbnail", "params": '{"width": 109}', "priority": "-1"}, clip + b"4" * 9)
    answer = server.post_form(form, path=JOBS)
    made = answer.json()
    assert answer.status == 202
    assert (made["params"]["width"], made["priority"]) == (109, -1)
    done = ended(server, made)
    assert done["status"] == "succeeded"
    assert server.get(f"/api/v1/files/{done['file']}/", user="alice").json()["name"] == "film.mp4"


def test_a_preset_stands_in_for_the_operation_in_a_form_and_before_an_upload(server: Server, clip: bytes) -> None:
    saved = post(server, "/api/v1/presets/", {"name": "Tiny", "operation": "thumbnail", "params": {"width": 114}})
    assert saved.status == 201, saved
    answer = server.post_form(a_form({"preset": "Tiny"}, clip + b"9" * 9), path=JOBS)
    assert (answer.status, answer.json()["params"]["width"], answer.json()["preset"]) == (202, 114, "Tiny")
    later = order(server, preset=saved.json()["id"], upload={"name": "later.mp4", "size": 9})
    assert (later.status, later.json()["operation"], later.json()["preset"]) == (201, "thumbnail", "Tiny")


def test_what_is_wrong_with_a_form_is_said_before_its_file_is_read(server: Server, clip: bytes) -> None:
    # The file never arrives: a server that waited for it would not answer.
    for fields, code in (
        ({"operation": "thumbnail", "params": '{"width": -1}'}, "invalid_params"),
        ({"operation": "thumbnail", "params": "{"}, "invalid_params"),
        ({"operation": "thumbnail", "perams": "{}"}, "invalid_params"),
        ({"operation": "explode"}, "invalid_params"),
        ({"operation": "thumbnail", "preset": "Tiny"}, "invalid_params"),
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
