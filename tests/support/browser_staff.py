"""Staff at a browser: signed in, and whatever goes wrong in it fails the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.prepared_home import PASSWORD
from tests.support.server import Server

_CONTEXTS = WeakKeyDictionary[Browser, dict[str, BrowserContext]]()


def sign_in(page: Page, server: Server, user: str) -> None:
    page.goto(f"{server.url}/admin/login/?next=/admin/")
    page.fill("#id_username", user)
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{server.url}/admin/")


@contextmanager
def signed_in(
    browser: Browser,
    server: Server,
    user: str = "operator",
    *,
    may_say: str | tuple[str, ...] = "",
    may_ask: str = "",
    **look: Any,
) -> Iterator[Page]:  # fmt: skip
    """No error or warning in the console, except those that end with `may_say`, and no request to anybody else.

    Except for requests to URLs that begin with `may_ask`. The page is empty: each costs a second of processor time.
    """
    allowed = _ours(server) + ((may_ask,) if may_ask else ())
    page = _context(browser, server, user, look).new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda asked: None if asked.url.startswith(allowed) else wrong.append(asked.url))
    try:
        yield page
    finally:
        page.close()
    wrong = [said for said in wrong if not (may_say and said.endswith(may_say))]
    assert not wrong, (wrong, server.log[-5000:])


def _context(browser: Browser, server: Server, user: str, look: dict[str, Any]) -> BrowserContext:
    """One for all pages of somebody: what a new one loads and compiles takes a second of processor time."""
    contexts = _CONTEXTS.setdefault(browser, {})
    key = f"{server.url} {user} {look}"
    if key not in contexts:
        contexts[key] = browser.new_context(**look)
        _enter(contexts[key], server, user)
    return contexts[key]


def _enter(context: BrowserContext, server: Server, user: str) -> None:
    """Through the login page the first time, which takes a third of a second, and then with what it gave."""
    if cookies := server.cookies.get(user):
        context.add_cookies([{"name": name, "value": value, "url": server.url} for name, value in cookies.items()])
        return
    page = context.new_page()
    sign_in(page, server, user)
    page.close()
    server.cookies[user] = {str(cookie["name"]): str(cookie["value"]) for cookie in context.cookies()}


def _ours(server: Server) -> tuple[str, ...]:
    return server.url, "data:", "blob:"
