"""The Chromium of this machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

# Chromium would contact hosts of its vendor at every start; one process for all pages needs less CPU.
_PROGRAMS = ["chromium-headless-shell", "chromium"]  # the first draws no window: a third less CPU
_OPTIONS = [
    "--disable-background-networking", "--disable-component-update", "--disable-gpu", "--disable-quic",
    "--disable-sync", "--no-first-run", "--renderer-process-limit=1",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser | None]:
    """None if there is no Chromium here."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()
