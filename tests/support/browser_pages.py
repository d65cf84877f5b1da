"""The pages of the admin as they are photographed: in which sizes and colours, and where to."""

from typing import Any

from playwright.sync_api import Page

from tests.support.server import ROOT

PHOTOS = ROOT / "var/screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1400, "height": 900}},
    "dark": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 400, "height": 850}},
}


def is_wider_than_its_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
