"""The page of a file in the admin, and its player."""

from playwright.sync_api import Page

from tests.support.browser_pages import wait_for
from tests.support.server import Server

MEDIA = "document.querySelector('#mr-player [data-plays]')"


def open_file(page: Page, server: Server, pk: str) -> None:
    """Until the player knows how long the file is."""
    page.goto(f"{server.url}/admin/uploads/mediafile/{pk}/change/")
    wait_for(page, f"{MEDIA}.readyState >= 1")


def seek(page: Page, seconds: float) -> None:
    page.evaluate(f"{MEDIA}.currentTime = {seconds}")
