"""A token does what it was made for. One of each scope is tried on every endpoint of the API."""

import json
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.admin_client import signed_in
from tests.support.api_endpoints import Endpoint, endpoints
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, form_end, form_part, query
from tests.support.tus_client import Client, metadata
from uploads.access.authentication import scope_needed
from uploads.scopes import NAMES, Scope

Film = Callable[..., bytes]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In `tokens`, beside those of the accounts: alice's of one scope each, by its name."""
    with running(template, tmp_path_factory) as made:
        made.tokens = dict(made.tokens)
        for scope in NAMES:
            made.tokens[scope] = new_token(made, scope)
        yield made


def new_token(server: Server, *scopes: str) -> str:
    said = server.manage("token", "alice", "--name", "-".join(scopes), "--scopes", ",".join(scopes))
    return said.stdout.split()[-1]


def ask(server: Server, method: str, path: str, data: object = None, *, scope: str) -> Answer:
    body = b"" if data is None else json.dumps(data).encode()
    return server.request(method, f"/api/v1/{path}", body, JSON, user=scope)


# For those that anybody may ask, `needed` is None.
NEEDED: list[tuple[Endpoint, Scope]] = [
    (found, needed) for found in endpoints() if (needed := scope_needed(found.view, found.method))
]


@pytest.mark.parametrize("scope", NAMES)
def test_a_token_of_one_scope_is_refused_on_every_endpoint_of_the_others(scope: str, server: Server) -> None:
    tried = 0
    for found, needed in NEEDED:
        answer = server.request(found.method, found.address, b"", user=scope)
        if Scope.of([scope]) & needed:
            assert answer.status != 403, (str(found), answer)
            continue
        tried += 1
        assert answer.status == 403, (str(found), answer)
        if found.method != "HEAD":
            assert answer.code == "scope_missing", (str(found), answer)
            assert answer.json()["scopes"] == needed.words
    assert tried > 10


def test_a_refusal_comes_before_the_first_byte(server: Server) -> None:
    for head in (
        "PUT /api/v1/upload/film.mp4", "POST /api/v1/uploads/", "POST /api/v1/files/",
        "PUT /api/v1/uploads/00000000-0000-0000-0000-000000000007",
    ):  # fmt: skip
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
            lines = [f"{head} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {server.tokens['read']}",
                     "Content-Type: multipart/form-data; boundary=b0undary", "Content-Length: 1000000",
                     "Expect: 100-continue", "", ""]  # fmt: skip
            wire.sendall("\r\n".join(lines).encode())
            assert wire.recv(9) == b"HTTP/1.1 "
            assert wire.recv(3) == b"403", head
    assert query(server, "SELECT * FROM uploads_upload") == []


def test_a_job_with_its_bytes_needs_the_scope_for_them_too(server: Server, film: Film) -> None:
    order = {"operation": "thumbnail", "upload": {"name": "a.mp4", "size": 1000}}
    refused = ask(server, "POST", "jobs/", order, scope="work")
    assert (refused.code, refused.json()["scopes"]) == ("scope_missing", ["upload"])
    form = form_part("operation", b"thumbnail") + form_part("file", film(), "film.mp4") + form_end()
    refused = server.post_form(form, path="/api/v1/jobs/", user="work")
    assert (refused.code, refused.json()["scopes"]) == ("scope_missing", ["upload"])
    assert query(server, "SELECT * FROM uploads_upload") == []
    server.tokens["both"] = new_token(server, "work", "upload")
    assert server.post_form(form, path="/api/v1/jobs/", user="both").status == 202
    assert ask(server, "POST", "jobs/", order, scope="both").status == 201


def test_a_token_for_uploads_sees_and_ends_those_that_it_began(server: Server, film: Film) -> None:
    content = film()
    mine, full = Client(server, "upload"), Client(server, "alice")
    path, others = (client.new(len(content), metadata(filename="a.mp4")) for client in (mine, full))
    seen = {upload["id"] for upload in ask(server, "GET", "uploads/", scope="upload").json()["results"]}
    assert path.rpartition("/")[2] in seen
    assert others.rpartition("/")[2] not in seen
    assert ask(server, "GET", others.removeprefix("/api/v1/"), scope="upload").code == "not_found"
    assert mine.delete(others).status == 404
    # To go on with one it may, as after a change of tokens.
    assert mine.patch(others, 0, content[:100_000]).status == 204
    assert mine.offset(others) == 100_000
    assert mine.patch(others, 100_000, content[100_000:]).status == 204
    given_up = mine.new(len(content))
    assert mine.delete(given_up).status == 204
    # What is complete is a file: a stolen token of a camera must not delete all that the camera has sent.
    assert mine.patch(path, 0, content).status == 204
    refused = mine.delete(path)
    assert (refused.status, refused.code, refused.json()["scopes"]) == (403, "scope_missing", ["admin"])
    assert mine.delete(others).status == 404
    assert full.delete(path).status == full.delete(others).status == 204


def test_a_session_has_every_scope(server: Server) -> None:
    browser = signed_in(server, "operator")
    for found, _needed in NEEDED:
        if found.method == "GET":
            assert browser.request("GET", found.address).status != 403, str(found)


@pytest.mark.local_disk
def test_tokens_of_the_release_before_keep_all_that_they_could_do(
    template: Template, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(template, tmp_path_factory) as old:
        old.kill()
        [(number,)] = query(old, "SELECT COUNT(*) FROM uploads_token")
        old.manage("migrate", "uploads", "0004_store")
        old.manage("migrate")
        old.start()
        found = query(old, "SELECT DISTINCT public_id FROM uploads_token")
        assert len(found) == number > 0
        film = old.put("a.srt", b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n").json()
        assert old.request("DELETE", f"/api/v1/files/{film['id']}/").status == 204


@pytest.mark.parametrize("words", ["root", "", "read,root"])
def test_the_command_names_the_scopes_that_there_are(words: str, server: Server) -> None:
    said = server.manage("token", "alice", "--scopes", words, check=False)
    assert said.returncode != 0
    assert "Choose from upload, read, work, admin." in said.stderr


@pytest.mark.parametrize("days", ["-1", "1e9", "nan", "inf"])
def test_the_command_makes_no_token_that_has_ended_or_lasts_longer_than_any(days: str, server: Server) -> None:
    said = server.manage("token", "alice", f"--days={days}", check=False)
    assert (said.returncode, said.stdout) == (1, "")
    assert "--days must be between 0 and 3650;" in said.stderr


@pytest.mark.parametrize("scope", NAMES)
def test_any_token_may_ask_what_an_address_understands(scope: str, server: Server) -> None:
    for address in sorted({found.address for found, _ in NEEDED}):
        answer = server.request("OPTIONS", address, b"", user=scope)
        assert answer.status in {200, 204}, (address, answer)
