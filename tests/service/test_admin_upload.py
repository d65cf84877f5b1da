"""The plain form that adds a file in the admin: what it takes, and that what it refuses leaves nothing."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.admin_client import Browser, signed_in
from tests.support.films import sha256
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server, form_end, form_part, query

ADD = "/admin/uploads/mediafile/add/"
Film = Callable[..., bytes]
ROWS = "SELECT (SELECT count(*) FROM uploads_mediafile), (SELECT count(*) FROM uploads_blob)"


def token_field(token: str) -> bytes:
    return form_part("csrfmiddlewaretoken", token.encode())


def send(browser: Browser, content: bytes, *, before: bytes = b"", after: bytes = b"", **headers: str) -> Answer:
    """As browsers send it, with the token in a field before the file unless `before` says otherwise."""
    form = (before or token_field(browser.token)) + form_part("file", content, "film.mp4") + after + form_end()
    sent = {"Accept": "text/html", "Origin": browser.server.url, "Referer": browser.server.url + ADD}
    return browser.post_form(form, sent | {name.replace("_", "-"): value for name, value in headers.items()}, ADD)


@contextmanager
def leaving_nothing(server: Server) -> Iterator[None]:
    before = (sorted(server.stored_bytes()), query(server, ROWS))
    yield
    assert (sorted(server.stored_bytes()), query(server, ROWS)) == before


def check_page(answer: Answer, status: int, words: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "text/html"
    assert words in answer.body.decode()


def test_a_film_is_taken_and_leads_to_its_page_while_it_is_inspected(shared_server: Server, film: Film) -> None:
    operator, content = signed_in(shared_server, "operator"), film()
    answer = send(operator, content)
    assert answer.status == 302, answer
    found = re.fullmatch(r"/admin/uploads/mediafile/([0-9a-f-]{36})/change/", answer.headers["Location"])
    assert found is not None
    file = shared_server.get(f"/api/v1/files/{found[1]}/", user="operator").json()
    assert (file["name"], file["owner"], file["sha256"]) == ("film.mp4", "operator", sha256(content))
    jobs = shared_server.get(f"/api/v1/jobs/?file={found[1]}", user="operator").json()["results"]
    assert [job["operation"] for job in jobs] == ["inspect"]
    page = operator.request("GET", answer.headers["Location"])
    assert "“film.mp4” was uploaded." in page.body.decode()
    history = operator.request("GET", answer.headers["Location"].replace("change", "history"))
    assert "Uploaded." in history.body.decode()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"Not a film.\n" * 99, 415, "This is not a known media type"),
        (b"", 400, "The file is empty."),
    ],
    ids=["no media", "empty"],
)
def test_what_is_no_film_is_refused_in_words(shared_server: Server, content: bytes, status: int, words: str) -> None:
    operator = signed_in(shared_server, "operator")
    with leaving_nothing(shared_server):
        check_page(send(operator, content), status, words)


def test_a_form_without_a_file_is_refused(shared_server: Server) -> None:
    operator = signed_in(shared_server, "operator")
    answer = operator.post_form(token_field(operator.token) + form_end(), {"Accept": "text/html"}, ADD)
    check_page(answer, 400, "Choose a file first.")


def test_limit_and_quota_hold_for_the_form(start_server: StartServer, film: Film) -> None:
    server = start_server(MAX_FILE_SIZE="1MB", QUOTA="1500KB")
    operator = signed_in(server, "operator")
    with leaving_nothing(server):
        check_page(send(operator, film(3_000_000)), 413, "The request body is too large: at most")
        check_page(send(operator, film(1_000_001)), 413, "too_large")
    assert send(operator, film(900_000)).status == 302
    with leaving_nothing(server):
        check_page(send(operator, film(900_000)), 413, "quota_exceeded")


def test_the_token_must_come_and_come_before_the_file(shared_server: Server, film: Film) -> None:
    operator = signed_in(shared_server, "operator")
    other = form_part("title", b"holidays")
    with leaving_nothing(shared_server):
        for answer in (
            send(operator, film(), before=other),
            send(operator, film(), before=other, after=token_field(operator.token)),
            send(operator, film(), before=token_field("x" * 64)),
            send(operator, film(), Origin="http://evil.example"),
        ):
            check_page(answer, 403, "CSRF")


def test_a_field_behind_the_file_is_refused(shared_server: Server, film: Film) -> None:
    operator = signed_in(shared_server, "operator")
    with leaving_nothing(shared_server):
        check_page(send(operator, film(), after=form_part("title", b"holidays")), 400, "before the file")


def test_who_may_not_add_files_sends_none(shared_server: Server, film: Film) -> None:
    viewer = signed_in(shared_server, "viewer")
    with leaving_nothing(shared_server):
        check_page(send(viewer, film()), 403, "Your account may view files, but not upload them.")
    assert viewer.request("GET", ADD).status == 403


def test_who_is_not_signed_in_sends_nothing(shared_server: Server, film: Film) -> None:
    nobody = Browser(shared_server)
    nobody.request("GET", "/admin/login/")
    with leaving_nothing(shared_server):
        check_page(send(nobody, film()), 401, "sign in")
        check_page(Browser(shared_server).post_form(b"x", {"Accept": "text/html"}, ADD), 403, "CSRF")


def test_a_program_is_told_to_send_it_elsewhere(shared_server: Server, film: Film) -> None:
    """Neither its token nor its Idempotency-Key means anything to a page."""
    nobody, operator = Browser(shared_server), signed_in(shared_server, "operator")
    nobody.request("GET", "/admin/login/")
    with leaving_nothing(shared_server):
        for user in ("alice", "operator"):
            answer = send(nobody, film(), Authorization=f"Bearer {shared_server.tokens[user]}")
            check_page(answer, 403, "/api/v1/files/")
        check_page(send(operator, film(), Idempotency_Key="one"), 400, "/api/v1/files/")
