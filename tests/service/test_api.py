"""The API as its clients see it: lists, names, deletion, problems, documentation, health, limits."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.api_requests import JSON, ask, keep, names, send
from tests.support.films import sha256
from tests.support.running_servers import StartServer
from tests.support.server import Server

Film = Callable[..., bytes]
SUBTITLES = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"


# Files


def test_a_file_shows_what_is_known_of_it(shared_server: Server, film: Film) -> None:
    content = film()
    made = keep(shared_server, content, "Ein Film.mp4".replace(" ", "%20"))
    file = ask(shared_server, f"files/{made['id']}/").json()
    assert file == made
    assert set(file) >= {
        "id", "name", "kind", "media_type", "size", "sha256", "facts", "origin", "owner", "created_at", "urls",
    }  # fmt: skip
    assert (file["name"], file["size"], file["sha256"]) == ("Ein Film.mp4", len(content), sha256(content))
    assert (file["kind"], file["media_type"], file["origin"], file["owner"]) == (
        "video", "video/mp4", "upload", "alice",
    )  # fmt: skip
    assert urlsplit(file["urls"]["self"]).path == f"/api/v1/files/{file['id']}/"
    assert shared_server.get(urlsplit(file["urls"]["content"]).path, user="alice").body == content


def test_a_new_file_says_where_it_is(shared_server: Server, film: Film) -> None:
    answer = shared_server.put("film.mp4", film())
    assert answer.headers["Location"] == answer.json()["urls"]["self"]


@pytest.fixture(scope="module")
def library(shared_server: Server, clip: bytes) -> dict[str, Any]:
    """Bob's files; nobody else keeps any for him."""
    made = [
        keep(shared_server, clip + bytes([number]) * 1000 * number, f"{name}.mp4", user="carol")
        for number, name in enumerate(("apple", "Apricot", "banana", "100%25_sure", "other_apple"), 1)
    ]
    made.append(keep(shared_server, SUBTITLES, "cherry.srt", user="carol"))
    return {file["name"]: file for file in made}


def search(server: Server, **query: Any) -> set[str]:
    return set(names(ask(server, "files/", user="carol", **query)))


def test_the_newest_come_first(shared_server: Server, library: dict[str, Any]) -> None:
    assert names(ask(shared_server, "files/", user="carol")) == list(library)[::-1]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ap", {"apple.mp4", "Apricot.mp4"}),
        ("BAN", {"banana.mp4"}),
        ("pple", set()),
        ("100%", {"100%_sure.mp4"}),
        ("1%", set()),
        ("_", set()),
        ("\\", set()),
        ("", None),
    ],
)
def test_a_file_is_found_by_the_beginning_of_its_name(
    q: str, found: set[str] | None, shared_server: Server, library: dict[str, Any]
) -> None:
    assert search(shared_server, q=q) == (set(library) if found is None else found)


def test_a_file_is_found_by_its_hash_and_its_id(shared_server: Server, library: dict[str, Any]) -> None:
    file = library["banana.mp4"]
    for text in (file["sha256"][:12], file["sha256"].upper(), file["id"], file["id"].replace("-", "").upper()):
        assert search(shared_server, q=text) == {"banana.mp4"}
    assert search(shared_server, sha256=file["sha256"]) == {"banana.mp4"}


def test_a_list_is_narrowed(shared_server: Server, library: dict[str, Any]) -> None:
    banana, whole = library["banana.mp4"], set(library)
    assert search(shared_server, kind="subtitle") == {"cherry.srt"}
    assert search(shared_server, kind=["subtitle", "video"]) == whole
    assert search(shared_server, kind="audio") == set()
    assert search(shared_server, media_type=library["cherry.srt"]["media_type"]) == {"cherry.srt"}
    assert search(shared_server, size_min=banana["size"], size_max=banana["size"]) == {"banana.mp4"}
    assert search(shared_server, created_after=banana["created_at"], q="banana") == {"banana.mp4"}
    assert search(shared_server, created_before=banana["created_at"]) == {"apple.mp4", "Apricot.mp4"}
    assert search(shared_server, origin="job") == set()
    assert search(shared_server, owner="alice") == set()
    assert search(shared_server, kind="video", q="a", size_max=library["apple.mp4"]["size"]) == {"apple.mp4"}


@pytest.mark.parametrize(
    "query", [{"kind": "film"}, {"origin": "x"}, {"size_min": "big"}, {"created_after": "yesterday"}]
)
def test_a_filter_that_cannot_be_read_is_a_problem(query: dict[str, str], shared_server: Server) -> None:
    answer = ask(shared_server, "files/", **query)
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert set(answer.json()["errors"]) == set(query)


@pytest.mark.parametrize("query", [{"q": "\0"}, {"owner": "\0"}, {"sha256": "\0"}, {"size_min": "9" * 40},
                                   {"size_min": "nan"}, {"size_max": "1e400"}, {"q": "x" * 4000}, {"cursor": "x"},
                                   {"cursor": "\0"}, {"page_size": "-1"}, {"page_size": "9" * 99}])  # fmt: skip
def test_odd_queries_are_no_errors_of_ours(query: dict[str, str], shared_server: Server) -> None:
    assert ask(shared_server, "files/", **query).status < 500


def test_pages_follow_each_other_to_the_end(shared_server: Server, library: dict[str, Any]) -> None:
    found, path = [], "/api/v1/files/?page_size=4"
    for _ in range(3):
        page = shared_server.get(path, user="carol").json()
        found += [file["name"] for file in page["results"]]
        if page["next"] is None:
            break
        assert len(page["results"]) == 4
        path = "{0.path}?{0.query}".format(urlsplit(page["next"]))
    assert found == list(library)[::-1]
    assert "count" not in page


def test_everybody_sees_their_own_and_staff_sees_all(shared_server: Server, library: dict[str, Any]) -> None:
    banana = library["banana.mp4"]["id"]
    assert "banana.mp4" not in names(ask(shared_server, "files/", page_size=500))
    assert ask(shared_server, f"files/{banana}/").code == "not_found"
    assert "banana.mp4" in names(ask(shared_server, "files/", user="viewer", owner="carol"))
    assert ask(shared_server, f"files/{banana}/", user="viewer").status == 200


def test_a_file_is_renamed(shared_server: Server, film: Film) -> None:
    file = keep(shared_server, film())
    answer = send(shared_server, "PATCH", f"files/{file['id']}/", {"name": "  für\tSie .mp4"})
    assert (answer.status, answer.json()["name"]) == (200, "für Sie .mp4")
    assert ask(shared_server, f"files/{file['id']}/").json() == file | {"name": "für Sie .mp4"}


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "a\\b", "x" * 256, "\u202e", "a\0b", None, [], {}])
def test_a_bad_name_is_refused(name: object, shared_server: Server, library: dict[str, Any]) -> None:
    path = f"files/{library['banana.mp4']['id']}/"
    answer = send(shared_server, "PATCH", path, {"name": name}, user="carol")
    assert (answer.status, answer.code) == (400, "invalid_params")
    assert set(answer.json()["errors"]) == {"name"}


def test_nothing_but_the_name_can_be_changed(shared_server: Server, library: dict[str, Any]) -> None:
    file = library["apple.mp4"]
    changes = {"id": str(uuid.uuid4()), "sha256": "0" * 64, "size": 1, "owner": "alice", "origin": "job", "kind": "x"}
    answer = send(shared_server, "PATCH", f"files/{file['id']}/", changes, user="carol")
    assert (answer.status, answer.json()) == (200, file)


def test_staff_changes_by_permission(shared_server: Server, film: Film) -> None:
    path = f"files/{keep(shared_server, film())['id']}/"
    assert send(shared_server, "PATCH", path, {"name": "x"}, user="viewer").code == "forbidden"
    assert send(shared_server, "DELETE", path, user="viewer").code == "forbidden"
    assert send(shared_server, "PATCH", path, {"name": "x"}, user="carol").code == "not_found"
    assert send(shared_server, "PATCH", path, {"name": "x"}, user="operator").status == 200
    assert send(shared_server, "DELETE", path, user="operator").status == 204


def test_bytes_go_with_the_last_file_that_shares_them(start_server: StartServer, film: Film) -> None:
    server, content = start_server(), film()
    first, twin = keep(server, content, "a.mp4"), keep(server, content, "b.mp4", user="carol")
    assert first["id"] != twin["id"]
    assert len(server.stored_bytes()) == 1
    assert send(server, "DELETE", f"files/{first['id']}/").status == 204
    assert server.get(f"/api/v1/files/{twin['id']}/content", user="carol").body == content
    assert send(server, "DELETE", f"files/{twin['id']}/", user="carol").status == 204
    assert server.stored_bytes() == []
    assert ask(server, f"files/{twin['id']}/", user="carol").code == "not_found"
    assert send(server, "DELETE", f"files/{twin['id']}/", user="carol").code == "not_found"


# Uploads


def test_an_upload_is_found_by_its_key_and_leads_to_its_content(shared_server: Server, film: Film) -> None:
    content, key = film(), str(uuid.uuid4())
    file = keep(shared_server, content, Idempotency_Key=key)
    [upload] = ask(shared_server, "uploads/", key=key).json()["results"]
    assert (upload["file"], upload["key"], upload["state"]) == (file["id"], key, "complete")
    assert (upload["offset"], upload["size"], upload["progress"]) == (len(content), len(content), 1)
    assert (upload["protocol"], upload["error"], upload["eta_seconds"]) == ("put", None, None)
    assert upload["message"] == "Complete: 300.0 KB"
    answer = ask(shared_server, f"uploads/{upload['id']}")
    assert (answer.status, urlsplit(answer.headers["Location"]).path) == (303, f"/api/v1/files/{file['id']}/content")
    as_json = shared_server.get(f"/api/v1/uploads/{upload['id']}", {"Accept": "application/json"}, user="alice")
    assert (as_json.status, as_json.json()) == (200, upload)


def test_a_failed_upload_keeps_its_reason(shared_server: Server) -> None:
    key = str(uuid.uuid4())
    assert shared_server.put("a.mp4", b"no film at all", {"Idempotency-Key": key}).code == "unsupported_media"
    [upload] = ask(shared_server, "uploads/", key=key, state="failed").json()["results"]
    assert upload["error"]["code"] == "unsupported_media"
    assert upload["message"] == upload["error"]["detail"]
    assert ask(shared_server, f"uploads/{upload['id']}").json() == upload


def test_uploads_are_seen_by_their_owner_and_by_staff(shared_server: Server, film: Film) -> None:
    key = str(uuid.uuid4())
    keep(shared_server, film(), Idempotency_Key=key)
    [upload] = ask(shared_server, "uploads/", key=key).json()["results"]
    assert ask(shared_server, "uploads/", user="carol", key=key).json()["results"] == []
    assert ask(shared_server, f"uploads/{upload['id']}", user="carol").code == "not_found"
    assert len(ask(shared_server, "uploads/", user="viewer", key=key, owner="alice").json()["results"]) == 1


def test_uploads_are_narrowed(shared_server: Server, library: dict[str, Any]) -> None:
    def found(**query: str) -> list[str]:
        return names(ask(shared_server, "uploads/", user="carol", **query))

    assert set(found(protocol="put", state="complete")) == set(library)
    assert found(protocol="form") == found(state="receiving") == []
    assert ask(shared_server, "uploads/", state="gone").code == "invalid_params"


# Problems


def test_a_problem_says_what_happened_in_one_shape(shared_server: Server) -> None:
    answer = ask(shared_server, f"files/{uuid.uuid4()}/")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "request_id": answer.headers["X-Request-ID"],
        "type": "urn:millrace:problem:not_found", "title": "Not Found", "status": 404, "code": "not_found",
        "detail": "Not found, or you do not have permission to see it.",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["nothing/", "files/x/", "files/1/content", "uploads/x", "links/", "upload"])
def test_what_is_not_there_is_404(path: str, shared_server: Server) -> None:
    assert (ask(shared_server, path).status, ask(shared_server, path).code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "files/"),
        ("DELETE", "files/"),
        ("PUT", "uploads/"),
        ("GET", "upload/a.mp4"),
        ("POST", "upload/a.mp4"),
    ],
)
def test_a_method_that_is_not_there_is_405(method: str, path: str, shared_server: Server) -> None:
    answer = send(shared_server, method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


@pytest.mark.parametrize("body", [b"{", b"[1", b"nonsense", b'"\xff"', b"[" * 5000, b"{'a': 1}"])
def test_bad_json_is_a_problem(body: bytes, shared_server: Server, library: dict[str, Any]) -> None:
    path = f"/api/v1/files/{library['banana.mp4']['id']}/"
    answer = shared_server.request("PATCH", path, body, JSON, user="carol")
    assert answer.status == 400
    assert answer.code in {"invalid_request", "invalid_params"}


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_json_that_is_no_object_is_a_problem(value: object, shared_server: Server, library: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    path = f"/api/v1/files/{library['banana.mp4']['id']}/"
    answer = shared_server.request("PATCH", path, body, JSON, user="carol")
    assert (answer.status, answer.code) == (400, "invalid_params")


@pytest.mark.parametrize("content_type", ["text/xml", "application/octet-stream", "nonsense", "image/png"])
def test_a_content_type_that_nobody_understands_is_415(
    content_type: str, shared_server: Server, library: Any
) -> None:
    path = f"/api/v1/files/{library['banana.mp4']['id']}/"
    answer = shared_server.request("PATCH", path, b"x", {"Content-Type": content_type}, user="carol")
    assert (answer.status, answer.code) == (415, "unsupported_request")


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "image/*", "*/*", "nonsense", "application/json;v=2"]
)
def test_an_accept_header_is_no_reason_to_fail(accept: str, shared_server: Server) -> None:
    answer = shared_server.get("/api/v1/files/", {"Accept": accept}, user="alice")
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "application/json")
