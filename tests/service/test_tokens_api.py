"""An account without a shell: its tokens, what it may do, and where to begin."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.admin_client import signed_in
from tests.support.api_endpoints import endpoints
from tests.support.in_server import accounts
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, query
from tests.support.tus_client import Client

JSON = {"Content-Type": "application/json"}
TOKENS = "/api/v1/tokens/"
SRT = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, QUOTA="1MB", MAX_UPLOADS_PER_USER="5", MAX_FILE_SIZE="1MB") as made:
        yield made


def make(server: Server, token: str, **said: Any) -> Answer:
    headers = {**JSON, "Authorization": f"Bearer {token}"}
    return server.request("POST", TOKENS, json.dumps({"name": "laptop", "scopes": ["read"]} | said).encode(), headers)


def made(server: Server, token: str, **said: Any) -> Any:
    answer = make(server, token, **said)
    assert answer.status == 201, answer
    return answer.json()


def listed(server: Server, user: str = "alice") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(TOKENS, user=user).json()
    return found


def works(server: Server, token: str) -> bool:
    return server.get("/api/v1/files/", {"Authorization": f"Bearer {token}"}).status == 200


def days_until(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.now(UTC)) / timedelta(days=1)


def test_an_account_makes_lists_and_revokes_its_tokens(server: Server) -> None:
    answer = make(server, server.tokens["alice"], scopes=["read", "upload"], expires_in=86400)
    assert answer.status == 201, answer
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()
    secret = token.pop("token")
    assert works(server, secret)
    assert (token["name"], token["scopes"], token["prefix"]) == ("laptop", ["upload", "read"], secret[:8])
    assert 0.9 < days_until(token["expires_at"]) <= 1
    assert listed(server)[0] == token
    assert [each["current"] for each in listed(server)].count(True) == 1
    assert answer.headers["Location"].endswith(f"{TOKENS}{token['id']}/")
    path = f"{TOKENS}{token['id']}/"
    assert server.get(path, user="alice").json() == token
    for stranger in ("bob", "admin"):  # who has tokens of his own, and sees no others, whatever else he may do
        assert server.request("DELETE", path, user=stranger).code == "not_found"
        assert token["id"] not in {each["id"] for each in listed(server, stranger)}
    assert works(server, secret)
    assert server.request("DELETE", path).status == 204
    assert not works(server, secret)
    assert server.request("DELETE", path).code == "not_found"


def test_a_token_is_asked_for_by_a_form_as_well(server: Server) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = server.request("POST", TOKENS, b"name=camera&scopes=upload&scopes=read", form)
    assert (answer.status, answer.json()["scopes"]) == (201, ["upload", "read"])
    assert 89.9 < days_until(answer.json()["expires_at"]) <= 90


def test_the_secret_is_nowhere_but_in_the_answer(server: Server) -> None:
    secret = made(server, server.tokens["alice"])["token"]
    assert secret not in server.log
    assert secret not in str(query(server, "SELECT * FROM uploads_token"))
    assert secret not in json.dumps(listed(server))


def test_a_token_grants_no_scope_that_it_has_not(server: Server) -> None:
    giver = made(server, server.tokens["alice"], scopes=["admin", "read"])["token"]
    before = query(server, "SELECT count(*) FROM uploads_token")
    refused = make(server, giver, scopes=["read", "work"])
    assert (refused.status, refused.code, refused.json()["scopes"]) == (403, "scope_missing", ["work"])
    assert query(server, "SELECT count(*) FROM uploads_token") == before
    assert made(server, giver, scopes=["read"])["scopes"] == ["read"]


def test_a_token_that_ends_makes_none_that_outlives_it(server: Server) -> None:
    giver = made(server, server.tokens["alice"], scopes=["admin", "read"], expires_in=3600)
    for asked in (None, 7200):
        assert make(server, giver["token"], expires_in=asked).code == "invalid_params"
    left_out = made(server, giver["token"])
    assert left_out["expires_at"] <= giver["expires_at"]
    assert made(server, giver["token"], expires_in=60)["expires_at"] < giver["expires_at"]


def test_a_token_ends_after_ninety_days_unless_something_else_is_said(server: Server) -> None:
    assert 89.9 < days_until(made(server, server.tokens["alice"])["expires_at"]) <= 90
    assert made(server, server.tokens["alice"], expires_in=None)["expires_at"] is None


@pytest.mark.parametrize(
    "said",
    [{"scopes": []}, {"scopes": ["root"]}, {"scopes": "read"}, {"scopes": None}, {"scopes": [["read"]]}, {"name": ""},
     {"name": "x" * 101}, {"name": "a\0b"}, {"expires_in": 0}, {"expires_in": -1}, {"expires_in": 10**12},
     {"expires_in": "soon"}],
)  # fmt: skip
def test_a_token_that_cannot_be_made_is_refused(said: dict[str, Any], server: Server) -> None:
    before = query(server, "SELECT count(*) FROM uploads_token")
    answer = make(server, server.tokens["alice"], **said)
    assert (answer.status, answer.code, [*answer.json()["errors"]]) == (400, "invalid_params", [*said])
    assert query(server, "SELECT count(*) FROM uploads_token") == before


def test_an_account_has_a_hundred_tokens_at_most(server: Server) -> None:
    has = len(listed(server, "carol"))
    server.call(accounts.make_tokens, "carol", 100 - has)
    answer = make(server, server.tokens["carol"])
    assert (answer.status, answer.code) == (409, "too_many_tokens")
    revoked = f"{TOKENS}{listed(server, 'carol')[0]['id']}/"
    assert server.request("DELETE", revoked, user="carol").status == 204
    assert make(server, server.tokens["carol"]).status == 201


def test_me_tells_the_account_its_scopes_its_limits_and_what_it_has_taken(server: Server) -> None:
    assert server.put("a.srt", SRT, user="bob").status == 201
    Client(server, "bob").new(1000)
    found = server.get("/api/v1/me/", user="bob").json()
    assert (found["username"], found["is_staff"], found["groups"], found["permissions"]) == ("bob", False, [], [])
    assert found["scopes"] == ["upload", "read", "work", "admin"]
    assert (found["token"]["name"], found["token"]["current"]) == ("test", True)
    quota = {"limit": 10**6, "stored": len(SRT), "reserved": 1000, "left": 10**6 - len(SRT) - 1000}
    assert found["quota"] == quota
    taken = {"limit": 5, "sending": 0, "unfinished": 1, "max_file_size": 10**6, "direct": False}
    assert found["uploads"] == taken


def test_me_tells_of_staff_and_of_a_token_of_one_scope(server: Server) -> None:
    found = server.get("/api/v1/me/", user="viewer").json()
    assert (found["is_staff"], found["groups"]) == (True, ["Viewer"])
    assert "uploads.view_mediafile" in found["permissions"]
    narrow = made(server, server.tokens["alice"], scopes=["work"])["token"]
    assert server.get("/api/v1/me/", {"Authorization": f"Bearer {narrow}"}).json()["scopes"] == ["work"]
    session = signed_in(server, "operator").request("GET", "/api/v1/me/").json()
    assert (session["token"], session["scopes"]) == (None, ["upload", "read", "work", "admin"])


def test_the_root_lists_every_entrance_to_everybody(server: Server) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = server.get("/api/v1/", headers)
        assert answer.status == 200, answer
    found = answer.json()
    listed = {url.removeprefix(server.url) for url in found.values()}
    without_arguments = {found.address for found in endpoints() if "made-up" not in found.address}
    assert listed >= {path for path in without_arguments if "/0000" not in path} - {"/api/v1/"}
    assert server.put("a.srt", SRT, user="alice").status == 201  # below `upload`
    assert found["upload"] == f"{server.url}/api/v1/upload/"
