"""Who may act: a session only with its CSRF token, staff only by their permissions, everybody on what is theirs."""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.admin_client import Browser, signed_in
from tests.support.films import sha256
from tests.support.server import Answer, Server, form_end, form_part

FILES = "/api/v1/files/"
UPLOAD = "/api/v1/upload/"

Film = Callable[..., bytes]


@pytest.fixture
def sign_in(shared_server: Server) -> Callable[[str], Browser]:
    return lambda user: signed_in(shared_server, user)


SignIn = Callable[[str], Browser]


@pytest.fixture
def nothing_new(shared_server: Server) -> Iterator[None]:
    """The test leaves no bytes, no file and not even the record of an upload."""

    def kept() -> list[Any]:
        # Which, not what is said of them: one of another test may still be ending.
        lists = [[found["id"] for found in listed(shared_server, which, "admin")] for which in _LISTS]
        return [sorted(shared_server.stored_bytes()), *lists]

    before = kept()
    yield
    assert kept() == before


_LISTS = ("files", "uploads")


# Sessions


def token_field(token: str) -> bytes:
    return form_part("csrfmiddlewaretoken", token.encode())


@pytest.mark.usefixtures("nothing_new")
def test_a_session_without_its_token_is_refused(sign_in: SignIn, clip: bytes) -> None:
    browser = sign_in("operator")
    answer = browser.post_form(form_part("file", clip, "clip.mp4") + form_end())
    assert (answer.status, answer.code) == (403, "csrf_failed")


@pytest.mark.usefixtures("nothing_new")
def test_a_token_behind_the_file_comes_too_late(sign_in: SignIn, clip: bytes) -> None:
    browser = sign_in("operator")
    form = form_part("file", clip, "clip.mp4") + token_field(browser.token) + form_end()
    answer = browser.post_form(form)
    assert (answer.status, answer.code) == (403, "csrf_failed")


@pytest.mark.usefixtures("nothing_new")
@pytest.mark.parametrize("wrong", ["", "x", "a" * 32, "a" * 64, "é" * 32])
def test_a_wrong_token_is_refused(sign_in: SignIn, clip: bytes, wrong: str) -> None:
    browser = sign_in("operator")
    file = form_part("file", clip, "clip.mp4")
    in_field = browser.post_form(token_field(wrong) + file + form_end())
    in_header = browser.post_form(file + form_end(), {"X-CSRFToken": wrong.replace("é", "e")})
    for answer in (in_field, in_header):
        assert (answer.status, answer.code) == (403, "csrf_failed")


@pytest.mark.usefixtures("nothing_new")
def test_a_token_from_a_page_of_somebody_else_is_refused(sign_in: SignIn, clip: bytes) -> None:
    browser = sign_in("operator")
    form = token_field(browser.token) + form_part("file", clip, "clip.mp4") + form_end()
    answer = browser.post_form(form, {"Origin": "http://evil.example"})
    assert (answer.status, answer.code) == (403, "csrf_failed")


def test_the_form_of_a_plain_page_is_taken(sign_in: SignIn, film: Film) -> None:
    """Byte for byte what a browser sends for <form method="post" enctype="multipart/form-data">."""
    browser, content = sign_in("operator"), film()
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    form = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="csrfmiddlewaretoken"\r\n'
        "\r\n"
        f"{browser.token}\r\n"
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; filename="Übung %22eins%22.mp4"\r\n'
        "Content-Type: video/mp4\r\n"
        "\r\n"
    ).encode() + content + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Origin": browser.server.url,
        "Referer": f"{browser.server.url}/admin/",
        "Upgrade-Insecure-Requests": "1",
    }
    answer = browser.post_form(form, headers)
    assert answer.status == 201, answer
    file = answer.json()
    assert (file["name"], file["owner"], file["sha256"]) == ('Übung "eins".mp4', "operator", sha256(content))


@pytest.mark.parametrize("order", ["field first", "file first", "no field"])
def test_a_token_in_the_header_serves_in_any_order(sign_in: SignIn, film: Film, order: str) -> None:
    browser = sign_in("operator")
    file, other = form_part("file", film(), "film.mp4"), form_part("title", b"holidays")
    form = {"field first": other + file, "file first": file + other, "no field": file}[order]
    answer = browser.post_form(form + form_end(), {"X-CSRFToken": browser.token})
    assert answer.status == 201, answer


@pytest.mark.parametrize("content_type", [{}, {"Content-Type": "video/mp4"}], ids=["untyped", "typed"])
def test_a_put_of_a_session_needs_the_token_in_the_header(
    sign_in: SignIn, film: Film, content_type: dict[str, str]
) -> None:
    browser = sign_in("operator")
    answer = browser.request("PUT", UPLOAD + "film.mp4", film(), content_type)
    assert (answer.status, answer.code) == (403, "csrf_failed")
    answer = browser.request("PUT", UPLOAD + "film.mp4", film(), content_type | {"X-CSRFToken": browser.token})
    assert answer.status == 201, answer


@pytest.mark.parametrize(("method", "below"), [("PATCH", ""), ("DELETE", ""), ("POST", "link/"), ("DELETE", "link/")])
def test_every_other_verb_of_a_session_needs_the_token_too(
    sign_in: SignIn, film: Film, method: str, below: str
) -> None:
    browser = sign_in("operator")
    file = browser.server.put("film.mp4", film()).json()
    address = f"{FILES}{file['id']}/{below}"
    body, json = b'{"name": "other.mp4"}', {"Content-Type": "application/json"}
    answer = browser.request(method, address, body, json)
    assert (answer.status, answer.code) == (403, "csrf_failed")
    answer = browser.request(method, address, body, json | {"X-CSRFToken": browser.token})
    assert answer.status in {200, 201, 204}, answer


# Permissions


Act = Callable[[Server, str, str, bytes], Answer]
ACTS: dict[str, tuple[Act, int]] = {
    "send a form": (
        lambda server, _, user, film: server.post_form(form_part("file", film, "a.mp4") + form_end(), user=user), 201
    ),
    "put a file": (lambda server, _, user, film: server.put("a.mp4", film, user=user), 201),
    "rename a file": (
        lambda server, id, user, _: server.request(
            "PATCH", f"{FILES}{id}/", b'{"name": "b.mp4"}', {"Content-Type": "application/json"}, user=user
        ),
        200,
    ),
    "delete a file": (lambda server, id, user, _: server.request("DELETE", f"{FILES}{id}/", user=user), 204),
    "make a link": (lambda server, id, user, _: server.request("POST", f"{FILES}{id}/link/", user=user), 201),
    "revoke links": (lambda server, id, user, _: server.request("DELETE", f"{FILES}{id}/link/", user=user), 204),
}  # fmt: skip


@pytest.fixture
def file_of_alice(shared_server: Server, film: Film) -> str:
    return str(shared_server.put("alice.mp4", film()).json()["id"])


@pytest.mark.parametrize("act", ACTS)
def test_a_viewer_may_not(shared_server: Server, file_of_alice: str, film: Film, act: str) -> None:
    stored = sorted(shared_server.stored_bytes())
    answer = ACTS[act][0](shared_server, file_of_alice, "viewer", film())
    assert (answer.status, answer.code) == (403, "forbidden")
    assert sorted(shared_server.stored_bytes()) == stored
    assert shared_server.get(f"{FILES}{file_of_alice}/", user="alice").json()["name"] == "alice.mp4"


@pytest.mark.parametrize("act", ACTS)
def test_an_operator_may(shared_server: Server, file_of_alice: str, film: Film, act: str) -> None:
    do, status = ACTS[act]
    assert do(shared_server, file_of_alice, "operator", film()).status == status


@pytest.mark.parametrize("act", ["rename a file", "delete a file", "make a link", "revoke links"])
def test_somebody_else_finds_nothing_to_act_on(
    shared_server: Server, file_of_alice: str, film: Film, act: str
) -> None:
    answer = ACTS[act][0](shared_server, file_of_alice, "bob", film())
    assert (answer.status, answer.code) == (404, "not_found")
    assert shared_server.get(f"{FILES}{file_of_alice}/", user="alice").json()["name"] == "alice.mp4"


# A token of one's own lets nobody do more than before.
OWN = {("POST", "/api/v1/tokens/")}


def test_a_viewer_acts_nowhere_in_the_documented_api(shared_server: Server, file_of_alice: str) -> None:
    """So that an address which is added later is covered as well."""
    schema = shared_server.get("/api/v1/schema/", {"Accept": "application/json"}, user="admin").json()
    acting = [
        (method.upper(), path)
        for path, operations in schema["paths"].items()
        for method in operations
        if method in {"post", "put", "patch", "delete"}
    ]
    assert len(acting) >= len(ACTS)
    for method, path in sorted({*acting} - OWN):
        address = re.sub(r"\{\w+\}", file_of_alice, path)
        headers = {"Content-Type": "application/json", "Tus-Resumable": "1.0.0", "Upload-Length": "5"}
        if path.startswith("/api/v1/uploads/"):
            headers |= {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        answer = shared_server.request(method, address, b"{}", headers, user="viewer")
        assert answer.status in {403, 404}, (method, path, answer)


def test_a_viewer_sees_everything(shared_server: Server, file_of_alice: str) -> None:
    assert shared_server.get(f"{FILES}{file_of_alice}/", user="viewer").json()["owner"] == "alice"
    assert shared_server.get(f"{FILES}{file_of_alice}/content", user="viewer").status == 200
    assert file_of_alice in {file["id"] for file in listed(shared_server, "files", "viewer")}


def test_a_plain_account_sees_only_what_is_its_own(shared_server: Server, film: Film) -> None:
    key = uuid.uuid4().hex
    file = shared_server.put("alice.mp4", film(), {"Idempotency-Key": key}).json()["id"]
    upload = listed(shared_server, "uploads", "alice", f"&key={key}")[0]["id"]
    addresses = [f"{FILES}{file}/", f"{FILES}{file}/content", f"/api/v1/uploads/{upload}"]
    for address in addresses:
        assert shared_server.get(address, {"Accept": "application/json"}, user="alice").status == 200
        answer = shared_server.get(address, {"Accept": "application/json"}, user="bob")
        assert (answer.status, answer.code) == (404, "not_found")
        assert shared_server.get(address, {"Accept": "application/json"}).status == 401
    assert file in {found["id"] for found in listed(shared_server, "files", "alice")}
    assert file not in {found["id"] for found in listed(shared_server, "files", "bob")}
    assert listed(shared_server, "uploads", "bob", f"&key={key}") == []
    assert listed(shared_server, "files", "bob", "&owner=alice") == []


def test_two_accounts_may_use_the_same_key(shared_server: Server, film: Film) -> None:
    key, content = {"Idempotency-Key": uuid.uuid4().hex}, film()
    files = {shared_server.put("film.mp4", content, key, user=user).json()["id"] for user in ("alice", "bob")}
    assert len(files) == 2


def listed(server: Server, which: str, user: str, narrowed: str = "") -> list[Any]:
    found: list[Any] = server.get(f"/api/v1/{which}/?page_size=500{narrowed}", user=user).json()["results"]
    return found
