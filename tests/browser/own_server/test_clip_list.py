"""The clip list of render's form, with the keyboard alone, and clips that were marked in players."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph
from tests.support.browser_staff import signed_in
from tests.support.server import Server
from tests.support.troubled_clips import clip

FIELD = "document.querySelector('textarea[data-list=clips]').value"
VIDEO = "document.querySelector('#mr-player video')"


@pytest.fixture(scope="module")
def files(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("clips")
    paths: list[Path] = [clip(name, folder) for name in ("film.mp4", "counter.mp4", "yellow.png", "deep.wav")]
    return {path.name: str(server.put(path.name, path.read_bytes(), user="operator").json()["id"]) for path in paths}


@pytest.fixture(scope="module")
def may_say() -> str:
    return "409 (Conflict)"


def open_form(page: Page, server: Server, file: str) -> None:
    page.goto(f"{server.url}/admin/uploads/mediafile/{file}/run/?operation=render")
    expect(page.locator(".mr-clips li").first).to_be_visible()


def clips_of(page: Page) -> Any:
    return json.loads(page.evaluate(FIELD))


def test_clips_are_added_moved_and_removed_with_the_keyboard(
    page: Page, server: Server, files: dict[str, str]
) -> None:
    film, counter, yellow = files["film.mp4"], files["counter.mp4"], files["yellow.png"]
    open_form(page, server, film)
    assert clips_of(page) == [{"file": film}]
    page.get_by_label("In, clip 1", exact=True).fill("0:00.5")
    page.get_by_label("Out, clip 1", exact=True).fill("1.5")
    page.get_by_role("button", name="Add clip").press("Enter")
    expect(page.get_by_label("File of clip 2")).to_be_focused()
    page.get_by_label("File of clip 2").select_option(label="yellow.png")
    page.get_by_label("Fade out, clip 2").fill("1")
    page.get_by_role("button", name="Add clip").press("Enter")
    page.get_by_label("File of clip 3").select_option(label="counter.mp4")
    page.get_by_role("button", name="Move clip 3 up").press("Enter")
    expect(page.get_by_role("button", name="Move clip 2 up")).to_be_focused()
    assert clips_of(page) == [
        {"file": film, "start": "0:00.5", "end": 1.5},
        {"file": counter},
        {"file": yellow, "duration": 3, "fade_out": 1},
    ]
    page.get_by_label("Soundtrack", exact=True).select_option(label="deep.wav")
    for look in looks_of(page):
        photograph(page, f"render-{look}")
        assert not is_wider_than_its_window(page), look
    page.get_by_role("button", name="Remove clip 2").press("Enter")
    expect(page.get_by_role("button", name="Remove clip 2")).to_be_focused()
    page.get_by_role("button", name="Run", exact=True).press("Enter")
    page.wait_for_url("**/admin/media_jobs/job/**")
    [job] = server.get("/api/v1/jobs/?operation=render", user="operator").json()["results"]
    assert (job["file"], job["inputs"]) == (film, [yellow, files["deep.wav"]])
    assert [(each["file"], each["start"], each["end"]) for each in job["params"]["clips"]] == [
        (0, 0.5, 1.5),
        (1, 0, None),
    ]

    page.goto(f"{server.url}/admin/uploads/mediafile/{film}/run/?job={job['id']}")
    expect(page.locator(".mr-clips li")).to_have_count(2)
    assert [each["file"] for each in clips_of(page)] == [film, yellow]


def test_a_wrong_clip_is_told_and_the_list_stays(page: Page, server: Server, files: dict[str, str]) -> None:
    open_form(page, server, files["film.mp4"])
    page.get_by_label("In, clip 1", exact=True).fill("9")
    page.get_by_label("Out, clip 1", exact=True).fill("3")
    page.get_by_role("button", name="Run", exact=True).press("Enter")
    expect(page.get_by_text("clips[0]: end must be after start.")).to_be_visible()
    expect(page.get_by_label("In, clip 1", exact=True)).to_have_value("9")
    page.get_by_role("button", name="Edit as text").press("Enter")
    expect(page.locator("textarea[data-list=clips]")).to_be_focused()


def test_clips_are_marked_in_players_of_several_files(page: Page, server: Server, files: dict[str, str]) -> None:
    marked = []
    for name, start, end in (("film.mp4", 0.25, 1.0), ("counter.mp4", 0.5, 1.5)):
        page.goto(f"{server.url}/admin/uploads/mediafile/{files[name]}/change/")
        panel = page.get_by_role("group", name="Clips for render")
        expect(panel).to_be_visible()
        for button, at in (("Set in", start), ("Set out", end)):
            page.evaluate(f"{VIDEO}.currentTime = {at}")
            panel.get_by_role("button", name=button).press("Enter")
        expect(panel).to_contain_text(f"{start:g} s – {end:g} s")
        panel.get_by_role("button", name="Add clip").press("Enter")
        marked.append({"file": files[name], "start": start, "end": end})
    for look in looks_of(page):
        photograph(page, f"mark-{look}")
    page.get_by_role("link", name="Render 2 clips").press("Enter")
    expect(page.locator(".mr-clips li")).to_have_count(2)
    assert clips_of(page) == marked


def test_without_scripts_the_form_has_the_clips_as_text(
    browser: Browser, server: Server, files: dict[str, str]
) -> None:
    with signed_in(browser, server, java_script_enabled=False) as page:
        page.goto(f"{server.url}/admin/uploads/mediafile/{files['film.mp4']}/run/?operation=render")
        field = page.locator("textarea[name=param-clips]")
        expect(field).to_be_visible()
        expect(field).to_have_value('[{"file": 0}]')
