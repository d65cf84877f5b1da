"""The API as its clients see it: lists, names, deletion, problems, documentation, health, limits."""

import http.client
import json
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.films import sha256
from tests.support.in_server import accounts
from tests.support.prepared_home import PASSWORD
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server, form_end, form_part
from tests.support.waiting import wait_until

Film = Callable[..., bytes]
JSON = {"Content-Type": "application/json"}
SUBTITLES = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n"


def ask(server: Server, path: str, user: str | None = "alice", **query: Any) -> Answer:
    return server.get(f"/api/v1/{path}?{urlencode(query, doseq=True)}" if query else f"/api/v1/{path}", user=user)


def send(server: Server, method: str, path: str, data: object = None, user: str | None = "alice") -> Answer:
    body = b"" if data is None else json.dumps(data).encode()
    return server.request(method, f"/api/v1/{path}", body, JSON, user=user)


def keep(server: Server, content: bytes, name: str = "film.mp4", user: str = "alice", **headers: str) -> Any:
    answer = server.put(name, content, {key.replace("_", "-"): value for key, value in headers.items()}, user=user)
    assert answer.status == 201, answer
    return answer.json()


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [file["name"] for file in answer.json()["results"]]


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


# Who asks


@pytest.mark.parametrize("path", ["files/", "uploads/", "upload/a.mp4"])
def test_without_a_token_it_is_401_and_says_how(path: str, shared_server: Server) -> None:
    answer = ask(shared_server, path, user=None)
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def bearer(server: Server, token: str) -> Answer:
    return server.get("/api/v1/files/", {"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("token", ["x", "", "a b", "\xff", "x" * 4000])
def test_a_wrong_token_is_401(token: str, start_server: StartServer) -> None:
    server = start_server()
    answer = bearer(server, token)
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_works_until_it_is_revoked_or_expires(start_server: StartServer) -> None:
    server = start_server()
    token = server.manage("token", "alice", "--name", "laptop").stdout.split()[-1]
    assert bearer(server, token).status == 200
    server.call(accounts.delete_tokens, "laptop")
    assert bearer(server, token).code == "unauthenticated"
    token = server.manage("token", "alice", "--name", "phone").stdout.split()[-1]
    server.call(accounts.expire_tokens, "phone")
    assert bearer(server, token).code == "unauthenticated"
    # It was not deleted by being used: the clock may be wrong just now.
    server.call(accounts.make_tokens_unlimited, "phone")
    assert bearer(server, token).status == 200


def test_whoever_guesses_tokens_must_wait(start_server: StartServer) -> None:
    server = start_server()
    with ThreadPoolExecutor(40) as threads:
        codes = list(threads.map(lambda number: bearer(server, f"guess-{number}").status, range(40)))
    assert sorted(codes) == [401] * 30 + [429] * 10
    answer = bearer(server, "guess")
    assert (answer.status, answer.code) == (429, "throttled")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert server.put("a.mp4", b"x", {"Authorization": "Bearer guess"}).code == "throttled"
    assert bearer(server, server.tokens["alice"]).status == 200  # a good one pays for no neighbour's guesses


class Browser:
    """The part of a browser that signs in: cookies, and the token in a form."""

    def __init__(self, server: Server) -> None:
        self.server, self.cookies = server, dict[str, str]()

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Answer:
        headers = {"Accept": "text/html,*/*;q=0.8", "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        body = None
        if form is not None:
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self.server.request(method, path, body, headers, user=None)
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        page = self.ask("GET", "/admin/login/").body.decode()
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page))
        form = {"username": name, "password": password, "csrfmiddlewaretoken": token, "next": "/admin/"}
        return self.ask("POST", "/admin/login/", form)


def test_whoever_guesses_passwords_must_wait(start_server: StartServer) -> None:
    browser = Browser(start_server())
    assert [browser.sign_in("admin", "wrong").status for _ in range(10)] == [200] * 10
    answer = browser.sign_in("admin")
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Content-Type"].startswith("text/html")
    assert browser.sign_in("operator").status == 302


def test_whoever_guesses_passwords_in_parallel_gets_no_further(start_server: StartServer) -> None:
    server = start_server()
    guesser = Browser(server)
    assert guesser.sign_in("admin", "wrong").status == 200

    def guess(number: int) -> Answer:
        form = {
            "username": "admin",
            "password": f"wrong-{number}",
            "csrfmiddlewaretoken": guesser.cookies["csrftoken"],
        }
        return guesser.ask("POST", "/admin/login/", form)

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(guess, range(40)))
    evaluated = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(evaluated) + len(refused) == 40
    assert len(evaluated) <= 9  # and the one before
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert b"Wait a minute." in refused[-1].body or b"Try again in a few seconds." in refused[-1].body
    assert Browser(server).sign_in("operator").status == 302


def test_a_session_may_look_and_needs_a_csrf_token_to_change(shared_server: Server, film: Film) -> None:
    browser = Browser(shared_server)
    assert browser.sign_in("operator").status == 302
    assert browser.ask("GET", "/api/v1/files/").status == 200
    file = keep(shared_server, film(), user="operator")
    answer = browser.ask("DELETE", f"/api/v1/files/{file['id']}/")
    assert (answer.status, answer.code) == (403, "csrf_failed")
    assert ask(shared_server, f"files/{file['id']}/", user="operator").status == 200


def test_nobody_is_throttled_by_default(shared_server: Server) -> None:
    assert {ask(shared_server, "files/").status for _ in range(50)} == {200}


def test_users_are_throttled_when_it_is_set(start_server: StartServer) -> None:
    server = start_server(THROTTLE_USER="3/min")
    assert [ask(server, "files/").status for _ in range(4)] == [200, 200, 200, 429]
    answer = ask(server, "files/")
    assert answer.code == "throttled"
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert ask(server, "files/", user="carol").status == 200


# Documentation


@pytest.fixture(scope="module")
def schema(shared_server: Server) -> Any:
    answer = shared_server.get("/api/v1/schema/", {"Accept": "application/json"}, user="alice")
    assert answer.status == 200, answer
    return answer.json()


def test_the_schema_has_no_warnings(shared_server: Server) -> None:
    said = shared_server.manage("spectacular", "--validate", "--fail-on-warn")
    assert "warning" not in said.stderr.lower()


def test_the_schema_is_openapi_3_1(schema: Any) -> None:
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["title"] == "Millrace"


def test_every_reference_in_the_schema_leads_somewhere(schema: Any) -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema)):
        place = schema
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def operations(schema: Any) -> dict[str, Any]:
    return {f"{method.upper()} {path}": operation for path, methods in schema["paths"].items()
            for method, operation in methods.items()}  # fmt: skip


def test_every_operation_has_a_name_of_its_own_answers_and_problems(schema: Any) -> None:
    found = operations(schema)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for operation in found.values():
        assert "default" in operation["responses"]
        assert any(status.startswith("2") for status in operation["responses"])


def test_every_operation_declares_what_stands_in_its_path(schema: Any) -> None:
    for name, operation in operations(schema).items():
        declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", name))


def test_the_schema_knows_every_entrance(schema: Any) -> None:
    assert set(operations(schema)) >= {
        "GET /api/v1/files/", "POST /api/v1/files/", "GET /api/v1/files/{id}/", "PATCH /api/v1/files/{id}/",
        "DELETE /api/v1/files/{id}/", "POST /api/v1/files/{id}/link/", "DELETE /api/v1/files/{id}/link/",
        "GET /api/v1/files/{id}/content", "PUT /api/v1/upload/{name}", "GET /api/v1/uploads/",
        "GET /api/v1/uploads/{id}",
    }  # fmt: skip


def test_the_page_of_documentation_has_no_inline_script(shared_server: Server) -> None:
    answer = shared_server.get("/api/v1/docs/", {"Accept": "text/html"}, user="alice")
    assert answer.status == 200
    page = answer.body.decode()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert scripts
    for attributes, inside in scripts:
        assert "src=" in attributes
        assert not inside.strip()
    assert not re.search(r'\son\w+="', page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert not urlsplit(address).netloc, address


def test_what_the_page_of_documentation_loads_is_there(shared_server: Server) -> None:
    page = shared_server.get("/api/v1/docs/", {"Accept": "text/html"}, user="alice").body.decode()
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        path = address.replace("&amp;", "&")
        assert shared_server.get(path if path.startswith("/") else f"/api/v1/docs/{path}", user="alice").status == 200


# Health


def test_health_needs_no_token(shared_server: Server) -> None:
    assert shared_server.get("/healthz").json() == {"status": "ok"}
    ready = shared_server.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (200, "ok")
    assert set(ready.json()["checks"]) >= {"database", "storage", "room"}
    assert set(ready.json()["checks"].values()) == {"ok"}


def test_a_server_that_lost_its_disk_is_not_ready(start_server: StartServer) -> None:
    server = start_server()
    server.media.rename(server.home / "elsewhere")
    ready = server.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (503, "not ready")
    assert "mounted" in ready.json()["checks"]["storage"]
    assert str(server.home) not in ready.body.decode()
    assert server.get("/healthz").status == 200


def test_a_server_without_room_is_not_ready(start_server: StartServer) -> None:
    server = start_server(MIN_FREE="9000TB")
    assert "MILLRACE_MIN_FREE" in server.get("/readyz").json()["checks"]["room"]
    assert server.get("/readyz").status == 503


def metrics(server: Server) -> dict[str, float]:
    lines = server.get("/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_what_happens_is_counted(start_server: StartServer, film: Film) -> None:
    server, content = start_server(MAX_FILE_SIZE="1MiB"), film(300_000)
    file = keep(server, content)
    server.get(f"/api/v1/files/{file['id']}/content", {"Range": "bytes=0-99"}, user="alice")
    server.post_form(form_part("file", b"no film", "a.mp4") + form_end())
    server.put("a.mp4", bytes(1_500_000))
    found = metrics(server)
    assert found["millrace_received_bytes_total"] == 300_000 + len(b"no film")
    assert found["millrace_sent_bytes_total"] == 100
    assert found['millrace_uploads_total{protocol="put",reason="",result="complete"}'] == 1
    assert found['millrace_uploads_total{protocol="form",reason="unsupported_media",result="failed"}'] == 1
    assert found['millrace_uploads_total{protocol="put",reason="too_large",result="refused"}'] == 1
    assert found['millrace_upload_duration_seconds_count{size_class="10MiB"}'] == 1
    assert found["millrace_uploads_active"] == 0


def test_uploads_on_their_way_are_counted(start_server: StartServer, film: Film) -> None:
    server, content = start_server(), film()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("PUT", "/api/v1/upload/film.mp4")
    connection.putheader("Authorization", f"Bearer {server.tokens['alice']}")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:100_000])
    wait_until(lambda: metrics(server)["millrace_uploads_active"] == 1)
    connection.send(content[100_000:])
    assert connection.getresponse().status == 201
    wait_until(lambda: metrics(server)["millrace_uploads_active"] == 0)


# What browsers are told


@pytest.mark.parametrize(
    "path", ["/api/v1/files/", "/healthz", "/nothing", "/api/v1/nothing/", "/static/problem.css"]
)
def test_everywhere_the_policy_is_strict(path: str, shared_server: Server) -> None:
    policy = shared_server.get(path, {"Accept": "text/html,*/*"}, user="alice").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_below_admin_alpine_may_evaluate_and_our_media_play_and_nothing_else_is_looser(shared_server: Server) -> None:
    policy = shared_server.get("/admin/login/").headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "; media-src 'self';" in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy
    assert "default-src 'none'" in policy


def test_other_headers_that_protect_are_there(shared_server: Server) -> None:
    headers = shared_server.get("/admin/login/").headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_browser_gets_a_page_for_what_goes_wrong_outside_the_api(shared_server: Server) -> None:
    answer = shared_server.get("/nothing", {"Accept": "text/html,application/xhtml+xml"})
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (404, "text/html")
    assert "This page does not exist." in answer.body.decode()
    assert "<script" not in answer.body.decode()


def test_a_program_gets_a_problem_wherever_it_goes_wrong(shared_server: Server) -> None:
    assert shared_server.get("/nothing", {"Accept": "application/json"}).code == "not_found"
    assert shared_server.get("/api/v1/nothing/", {"Accept": "text/html"}).code == "not_found"


def test_a_host_that_is_not_ours_is_refused(shared_server: Server) -> None:
    answer = shared_server.get("/healthz", {"Host": "evil.example", "Accept": "application/json"})
    assert answer.status == 400
    assert "evil.example" not in answer.body.decode()
