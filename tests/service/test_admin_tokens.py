"""Tokens without a shell: staff make them for an account, and see each once."""

import re
from collections.abc import Iterator

import pytest

from tests.support.admin_client import Browser, signed_in
from tests.support.in_server import accounts
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, query

ADD = "/admin/uploads/token/add/"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as made:
        made.call(accounts.make_staff, "clerk", ["add_token", "view_token", "delete_token"])
        made.call(accounts.make_staff_with_all_permissions, "chief")
        yield made


def make(server: Server, staff: str, account: str, *scopes: str, lasting: int = 30) -> Answer:
    pk = dict(query(server, "SELECT username, id FROM auth_user"))[account]
    fields = [
        ("account", str(pk)),
        ("name", "camera"),
        ("duration", str(lasting)),
        *(("scopes", one) for one in scopes),
    ]
    return signed_in(server, staff).post(ADD, fields)


def tokens(server: Server) -> list[tuple[str, ...]]:
    return query(server, "SELECT digest FROM uploads_token ORDER BY digest")


def secret_in(answer: Answer) -> str:
    found = re.search(r'id="mr-token">(\w+)<', answer.body.decode())
    assert found, answer
    return found[1]


def test_staff_make_a_token_for_an_account_and_see_it_once(server: Server) -> None:
    answer = make(server, "admin", "alice", "upload")
    assert answer.status == 200, answer
    assert "no-store" in answer.headers["Cache-Control"]
    bearer = {"Authorization": f"Bearer {secret_in(answer)}"}
    me = server.get("/api/v1/me/", bearer).json()
    assert (me["username"], me["scopes"], me["token"]["name"]) == ("alice", ["upload"], "camera")
    assert me["token"]["expires_at"] is not None
    browser = signed_in(server, "admin")
    for page in ("/admin/uploads/token/", "/admin/admin/logentry/", ADD):
        shown = browser.request("GET", page).body.decode()
        assert secret_in(answer) not in shown
    history = browser.request("GET", "/admin/admin/logentry/").body.decode()
    assert "Created the token “camera” of this account." in history


def test_staff_revoke_a_token_by_deleting_it(server: Server) -> None:
    secret = secret_in(make(server, "admin", "bob", "read", lasting=0))
    bearer = {"Authorization": f"Bearer {secret}"}
    assert server.get("/api/v1/me/", bearer).json()["token"]["expires_at"] is None
    digest = dict(query(server, "SELECT token_key, digest FROM uploads_token"))[secret[:15]]
    deleted = signed_in(server, "clerk").post(f"/admin/uploads/token/{digest}/delete/", {"post": "yes"})
    assert deleted.status == 302
    assert server.get("/api/v1/me/", bearer).code == "unauthenticated"


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "root"]])
def test_a_form_that_makes_no_sense_makes_no_token(scopes: list[str], server: Server) -> None:
    before = tokens(server)
    answer = make(server, "admin", "alice", *scopes)
    assert (answer.status, 'id="mr-token"' in answer.body.decode()) == (200, False)
    assert tokens(server) == before


@pytest.mark.parametrize("account", ["x", "-1", "99999999999", "9" * 30, ""])
def test_what_is_no_account_is_told_to_be_none(account: str, server: Server) -> None:
    before = tokens(server)
    fields = {"account": account, "name": "camera", "duration": "30", "scopes": "read"}
    assert signed_in(server, "admin").post(ADD, fields).status == 200
    assert tokens(server) == before


@pytest.mark.parametrize("staff", ["viewer", "operator"])
def test_only_those_who_have_the_permission_make_tokens(staff: str, server: Server) -> None:
    before = tokens(server)
    assert signed_in(server, staff).request("GET", ADD).status == 403
    assert make(server, staff, "alice", "read").status == 403
    assert tokens(server) == before
    assert signed_in(server, "clerk").request("GET", ADD).status == 200


@pytest.mark.parametrize(
    ("staff", "account", "may"),
    [("admin", "admin", True), ("chief", "admin", False), ("chief", "operator", True), ("chief", "alice", True),
     ("clerk", "clerk", True), ("clerk", "viewer", False), ("clerk", "alice", False), ("clerk", "chief", False)],
)  # fmt: skip
def test_nobody_makes_a_token_that_may_do_more_than_they_may(
    staff: str, account: str, may: bool, server: Server
) -> None:
    before = tokens(server)
    page = make(server, staff, account, "read").body.decode()
    assert ("it has permissions that you do not have" in page) is not may
    assert (len(tokens(server)) - len(before)) == may


def test_a_token_of_an_account_that_is_disabled_cannot_be_made(server: Server) -> None:
    server.call(accounts.make_disabled, "gone")
    before = tokens(server)
    make(server, "admin", "gone", "read")
    assert tokens(server) == before


def test_the_form_finds_accounts(server: Server) -> None:
    browser: Browser = signed_in(server, "admin")
    asked = "/admin/autocomplete/?app_label=uploads&model_name=token&field_name=user&term=ali"
    assert [found["text"] for found in browser.request("GET", asked).json()["results"]] == ["alice"]
