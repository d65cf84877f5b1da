"""Two accounts that have sent the same bytes share them on the disk, and neither can tell it by any answer."""

import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from config import first_start
from tests.support.in_server import content as content_rows
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server, query
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


def send(server: Server, content: bytes, user: str) -> Answer:
    answer = server.put("film.mp4", content, user=user)
    assert answer.status == 201, answer
    return answer


def file_of(server: Server, answer: Answer, user: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v1/files/{answer.json()['id']}/", user=user).json()
    return found


def transcode(server: Server, file: dict[str, Any], user: str, **params: Any) -> Answer:
    order = json.dumps({"operation": "transcode", "file": file["id"], "params": params}).encode()
    return server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}, user=user)


def alike(answer: Answer) -> tuple[int, set[str], dict[str, Any]]:
    """What would be the same, were it the only one."""
    unlike = {"id", "owner", "urls", "created_at"}
    return answer.status, set(answer.headers), {k: v for k, v in answer.json().items() if k not in unlike}


def test_the_second_owner_of_bytes_learns_nothing_of_the_first(start_server: StartServer, clip: bytes) -> None:
    server = start_server()
    worker = server.start_worker()
    first = send(server, clip, "alice")
    wait_until(lambda: file_of(server, first, "alice")["facts"], 60, lambda: server.log)
    worker.kill()
    worker.wait()
    server.helpers.clear()
    server.call(content_rows.backdate_files)

    second = send(server, clip, "bob")
    assert query(server, "SELECT count(*) FROM uploads_blob WHERE kind = 'video'") == [(1,)]
    assert alike(second) == alike(first)
    assert file_of(server, second, "bob")["facts"] is None
    # Its length is not known yet: a job beyond its end is taken, as it was of the first.
    assert transcode(server, second.json(), "bob", start=1000).status == 202
    assert transcode(server, first.json(), "alice", start=1000).status == 400

    server.start_worker()
    wait_until(lambda: file_of(server, second, "bob")["facts"], 60, lambda: server.log)
    assert file_of(server, second, "bob")["facts"] == file_of(server, first, "alice")["facts"]
    # Who has it already is answered at once, by the account's own result.
    assert send(server, clip, "bob").json()["facts"] == file_of(server, second, "bob")["facts"]


def test_a_file_was_modified_when_it_came_not_when_its_bytes_did(start_server: StartServer, film: Film) -> None:
    server, content = start_server(), film()
    first = send(server, content, "alice").json()
    server.call(content_rows.backdate_files)
    second = send(server, content, "bob").json()

    assert "2020" in _head(server, first, "alice").headers["Last-Modified"]
    modified = _head(server, second, "bob").headers["Last-Modified"]
    assert parsedate_to_datetime(modified).year > 2020
    linked = server.request("POST", f"/api/v1/files/{second['id']}/link/", b"", user="bob").json()["url"]
    assert server.get(linked.removeprefix(server.url)).headers["Last-Modified"] == modified

    old = {"If-Modified-Since": "Thu, 02 Jan 2020 00:00:00 GMT"}
    assert _head(server, first, "alice", old).status == 304
    assert _head(server, second, "bob", old).status == 200
    part = {"Range": "bytes=0-9", "If-Range": modified}
    assert server.get(f"/api/v1/files/{second['id']}/content", part, user="bob").status == 206
    assert server.get(f"/api/v1/files/{first['id']}/content", part, user="alice").status == 200


def _head(server: Server, file: dict[str, Any], user: str, headers: dict[str, str] | None = None) -> Answer:
    return server.request("HEAD", f"/api/v1/files/{file['id']}/content", None, headers, user=user)


@pytest.mark.local_disk
def test_facts_of_the_release_before_stay_where_they_were_shown(start_server: StartServer, clip: bytes) -> None:
    server = start_server()
    server.start_worker()
    first = send(server, clip, "alice")
    wait_until(lambda: file_of(server, first, "alice")["facts"], 60, lambda: server.log)
    facts = file_of(server, first, "alice")["facts"]
    server.kill()
    server.manage("migrate", "uploads", "0007")
    server.call(first_start.prepare)
    server.start()
    assert file_of(server, first, "alice")["facts"] == facts
