"""The pages of the admin as they are shown: in which sizes and colours; and photographs of them."""

import os
import time
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

from tests.support.server import ROOT

_PHOTOS = ROOT / "var/screenshots"
# TESTS_PHOTOS=1 takes photographs: they need more processor time than all else that a page does.
_TAKES_PHOTOS = bool(os.environ.get("TESTS_PHOTOS"))
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 400, "height": 850}, "color_scheme": "light"},
}


def looks_of(page: Page) -> Iterator[str]:
    """Show a page that is loaded in each look, one after the other."""
    for name, look in LOOKS.items():
        page.emulate_media(color_scheme=look["color_scheme"])
        page.set_viewport_size(look["viewport"])
        # Unfold asks for the colours once, when the page is loaded.
        is_dark = look["color_scheme"] == "dark"
        page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", is_dark)
        yield name


def photograph(page: Page, name: str) -> None:
    if _TAKES_PHOTOS:
        page.screenshot(path=_PHOTOS / f"{name}.png", full_page=True)


def is_wider_than_its_window(page: Page) -> bool:
    """Whether it stays so: a page whose window has changed needs a moment, on a busy machine a long one."""
    for _ in range(100):
        if not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            return False
        time.sleep(0.05)
    return True


def wait_for(page: Page, condition: str) -> None:
    """As `wait_for_function`, which pages with a strict policy do not allow."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        time.sleep(0.05)
    raise AssertionError(f"Not within 20 seconds: {condition}")
