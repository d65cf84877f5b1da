"""The time line below the player: pictures of a storyboard, and a waveform, in a real Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph, wait_for
from tests.support.file_page import MEDIA
from tests.support.job_requests import ended, submit
from tests.support.server import Server
from tests.support.troubled_clips import clip

USER = "operator"


@pytest.fixture(scope="module")
def server(server: Server) -> Server:
    server.start_worker("bulk")
    return server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def film(server: Server, folder: Path) -> str:
    """14 seconds, with a picture every two seconds, and a waveform."""
    pk = sent(server, clip("faststart.mp4", folder))
    for operation, params in (("storyboard", {"interval": 2}), ("waveform", {})):
        assert ended(server, submit(server, pk, operation, USER, **params), USER)["status"] == "succeeded"
    return pk


def sent(server: Server, path: Path) -> str:
    return str(server.put(path.name, path.read_bytes(), user=USER).json()["id"])


def open_page(page: Page, server: Server, pk: str) -> Locator:
    page.goto(f"{server.url}/admin/uploads/mediafile/{pk}/change/")
    return page.get_by_role("slider", name="Time line")


def point(page: Page, place: Locator, share: float) -> None:
    box = place.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)


def test_the_picture_of_the_time_that_is_pointed_at_is_shown_and_a_click_goes_there(
    page: Page, server: Server, film: str
) -> None:
    place = open_page(page, server, film)
    wait_for(page, f"{MEDIA}.readyState >= 1")
    with page.expect_response("**/storyboard-001.jpg"):
        point(page, place, 0.3)
        point(page, place, 0.5)
    preview = place.locator(".mr-preview")
    expect(preview.locator(".mr-preview-time")).to_have_text("0:07")
    picture = preview.locator(".mr-preview-picture")
    expect(picture).to_have_css("background-position", "-480px 0px")  # the fourth, which is shown from 6 seconds on
    expect(picture).to_be_visible()
    for look in looks_of(page):
        point(page, place, 0.5)
        photograph(page, f"scrubber-film-{look}")
        assert not is_wider_than_its_window(page)
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(7, abs=0.2)
    expect(place).to_have_attribute("aria-valuetext", "0:07 of 0:14")
    page.mouse.move(0, 0)
    expect(preview).to_be_hidden()


def test_the_time_line_works_by_keys_and_by_touch(page: Page, server: Server, film: str) -> None:
    place = open_page(page, server, film)
    wait_for(page, f"{MEDIA}.readyState >= 1")
    place.focus()
    page.keyboard.press("PageUp")
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(1.4, abs=0.1)
    expect(place.locator(".mr-preview-picture")).to_be_visible()
    page.keyboard.press("Home")
    assert page.evaluate(f"{MEDIA}.currentTime") == 0
    page.keyboard.press("Escape")
    expect(place.locator(".mr-preview")).to_be_hidden()
    box = place.bounding_box()
    assert box is not None
    touch = {
        "pointerId": 1,
        "pointerType": "touch",
        "isPrimary": True,
        "button": 0,
        "bubbles": True,
        "clientY": box["y"] + 5,
    }
    page.evaluate("Element.prototype.setPointerCapture = () => {}")  # made-up pointers cannot be captured
    place.dispatch_event("pointerdown", {**touch, "clientX": box["x"] + 5})
    place.dispatch_event("pointermove", {**touch, "clientX": box["x"] + box["width"] / 2})
    expect(place.locator(".mr-preview-time")).to_have_text("0:07")
    assert page.evaluate(f"{MEDIA}.currentTime") == 0
    place.dispatch_event("pointerup", {**touch, "clientX": box["x"] + box["width"] / 2})
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(7, abs=0.2)
    expect(place.locator(".mr-preview")).to_be_hidden()


def test_a_waveform_appears_when_its_job_ends_and_takes_one_where_one_clicks(
    page: Page, server: Server, folder: Path
) -> None:
    pk = sent(server, clip("speech.flac", folder))
    place = open_page(page, server, pk)
    wait_for(page, f"{MEDIA}.readyState >= 1")
    assert page.locator("[data-scrubber]").count() == 0
    ended(server, submit(server, pk, "waveform", USER), USER)
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")  # as the page does when a job has ended
    expect(place).to_have_class("mr-scrubber mr-has-wave")
    point(page, place, 0.75)
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(3, abs=0.1)
    for look in looks_of(page):
        photograph(page, f"scrubber-sound-{look}")
        assert not is_wider_than_its_window(page)


def test_the_time_line_goes_full_screen_with_the_picture(page: Page, server: Server, film: str) -> None:
    place = open_page(page, server, film)
    wait_for(page, f"{MEDIA}.readyState >= 1")
    page.get_by_role("button", name="Full screen").click()
    wait_for(page, f"document.fullscreenElement?.contains({MEDIA})")
    point(page, place, 0.5)
    expect(place.locator(".mr-preview-picture")).to_be_visible()
    photograph(page, "scrubber-full-screen")
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(7, abs=0.2)
    bottom = "document.querySelector('[data-scrubber]').getBoundingClientRect().bottom"
    assert page.evaluate(f"{bottom} <= innerHeight && {bottom} > innerHeight - 40")
    page.get_by_role("button", name="Leave full screen").click()
    wait_for(page, "!document.fullscreenElement")


def test_the_page_of_a_signed_link_has_the_time_line_too(browser: Browser, server: Server, film: str) -> None:
    link = server.request("POST", f"/api/v1/files/{film}/link/", user=USER).json()["page_url"]
    with browser.new_context(viewport={"width": 400, "height": 850}) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text))
        page.goto(link)
        place = page.get_by_role("slider", name="Time line")
        wait_for(page, f"{MEDIA}.readyState >= 1")
        with page.expect_response("**/storyboard-001.jpg"):
            point(page, place, 0.9)
        expect(place).to_have_class("mr-scrubber mr-has-wave")
        expect(place.locator(".mr-preview-picture")).to_be_visible()
        for look in looks_of(page):
            point(page, place, 0.9)
            photograph(page, f"scrubber-link-{look}")
            assert not is_wider_than_its_window(page)
    assert not wrong
