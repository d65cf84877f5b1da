"""Who asks the API: tokens, sessions, wrong guesses and throttling."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from tests.support.api_requests import ask, keep
from tests.support.in_server import accounts
from tests.support.prepared_home import PASSWORD
from tests.support.running_servers import StartServer
from tests.support.server import Answer, Server

Film = Callable[..., bytes]


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
