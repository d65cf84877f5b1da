"""The form of detect: its detectors are checkboxes that the keyboard reaches, and the job gets what was chosen."""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph
from tests.support.server import Server, query
from tests.support.troubled_clips import clip


def test_detectors_are_chosen_by_checkboxes(page: Page, server: Server, tmp_path: Path) -> None:
    film: Path = clip("film.mp4", tmp_path)
    file = server.put(film.name, film.read_bytes(), user="operator").json()["id"]
    page.goto(f"{server.url}/admin/uploads/mediafile/{file}/run/?operation=detect")
    for name in looks_of(page):
        photograph(page, f"detect-form-{name}")
        assert not is_wider_than_its_window(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("detectors must be some of")).to_be_visible()
    for name in ("scenes", "silence"):
        page.get_by_label(name, exact=True).focus()
        page.keyboard.press("Space")
    page.get_by_label("Region").fill("10%, 20%, 50%, 50%")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/job/**")
    [(params,)] = query(server, "SELECT params FROM media_jobs_job WHERE operation = 'detect'")
    found = json.loads(params) if isinstance(params, str) else params
    assert (found["detectors"], found["region"]) == (["scenes", "silence"], [0.1, 0.2, 0.5, 0.5])
