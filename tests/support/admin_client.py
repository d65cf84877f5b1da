"""People as they use the admin: signed in through its login page, with cookies and the CSRF token."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.support.prepared_home import PASSWORD
from tests.support.server import Answer, Server


@dataclass
class Browser:
    """Somebody signed in through the admin's login page, with cookies as a browser keeps and sends them."""

    server: Server
    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **(headers or {})}
        answer = self.server.request(method, path, body, sent, user=None)
        for header in answer.headers.get_all("Set-Cookie") or []:
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        return answer

    def sign_in(self, user: str, password: str = PASSWORD) -> None:
        """Through the login page the first time, which takes a quarter of a second, and then with what it gave."""
        if user not in self.server.cookies:
            self._log_in(user, password)
            self.server.cookies[user] = self.cookies
        self.cookies = dict(self.server.cookies[user])

    def try_password(self, user: str, password: str = PASSWORD) -> Answer:
        """The login page's answer."""
        page = self.request("GET", "/admin/login/").body.decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found is not None
        said = {
            "username": user,
            "password": password,
            "csrfmiddlewaretoken": found[1],
            "next": "/admin/",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.server.url}
        return self.request("POST", "/admin/login/", urlencode(said).encode(), headers)

    def _log_in(self, user: str, password: str) -> None:
        answer = self.try_password(user, password)
        assert answer.status == 302, answer
        assert "sessionid" in self.cookies

    def post(self, path: str, fields: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Answer:
        """A form, as its page would send it."""
        said = [*dict(fields).items()] if isinstance(fields, Mapping) else [*fields]
        body = urlencode([("csrfmiddlewaretoken", self.token), *said])
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.server.url}
        return self.request("POST", path, body.encode(), headers)

    @property
    def token(self) -> str:
        return self.cookies["csrftoken"]

    def post_form(
        self, form: bytes, headers: Mapping[str, str] | None = None, path: str = "/api/v1/files/"
    ) -> Answer:
        """A multipart form, as it is."""
        content_type = {"Content-Type": "multipart/form-data; boundary=b0undary"}
        return self.request("POST", path, form, {**content_type, **(headers or {})})


def signed_in(server: Server, user: str, password: str = PASSWORD) -> Browser:
    browser = Browser(server)
    browser.sign_in(user, password)
    return browser
