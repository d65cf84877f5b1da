"""Staff at a browser: signed in, and whatever goes wrong in it fails the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

from tests.prepare import PASSWORD
from tests.server import Server


def sign_in(page: Page, server: Server, user: str) -> None:
    page.goto(f"{server.url}/admin/login/?next=/admin/")
    page.fill("#id_username", user)
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{server.url}/admin/")


@contextmanager
def signed_in(browser: Browser, server: Server, user: str = "operator", **look: Any) -> Iterator[Page]:
    """No error or warning in the console, and no request to anybody else."""
    with browser.new_context(**look) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda asked: None if asked.url.startswith(_ours(server)) else wrong.append(asked.url))
        sign_in(page, server, user)
        yield page
        assert not wrong, (wrong, server.log[-5000:])


def _ours(server: Server) -> tuple[str, ...]:
    return server.url, "data:", "blob:"
