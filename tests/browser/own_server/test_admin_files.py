"""The admin pages of files in a real Chromium with a real worker. No test reloads a page."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.support.server import Server

FILES = "/admin/uploads/mediafile/"
HOSTILE = "<img src=x onerror=alert(1)>{{7*7}}\"'.mp4"
SOON = 120_000
HAS_METADATA = "() => document.querySelector('#mr-player video').readyState >= 1"


@pytest.fixture(scope="module")
def may_say() -> str:
    return "409 (Conflict)"  # one film is not playable by HLS


def send(server: Server, name: str, content: bytes) -> str:
    answer = server.put(quote(name, safe=""), content, user="operator")
    assert answer.status == 201, answer.body
    return str(answer.json()["id"])


def test_a_films_page_plays_it_tells_its_facts_when_they_are_known_and_makes_a_picture_of_it(
    page: Page, server: Server, clip: bytes
) -> None:
    pk = send(server, HOSTILE, clip)
    page.goto(f"{server.url}{FILES}{pk}/change/")
    page.wait_for_function(HAS_METADATA)
    facts = page.locator("[data-panel=facts]")
    expect(facts).to_contain_text("The file is being inspected.")
    expect(page.get_by_text(HOSTILE).first).to_be_visible()

    page.evaluate("window.unloaded = false")
    server.start_worker()
    expect(facts).to_contain_text("25 fps, constant", timeout=SOON)
    expect(facts).to_contain_text("3.0 s")
    expect(page.locator("[data-panel=artifacts]")).to_contain_text("poster.jpg")
    expect(page.locator("#mr-player video")).to_have_attribute("poster", re.compile("/api/v1/files/.*/content"))
    assert page.evaluate("window.unloaded") is False

    page.get_by_role("link", name="Run an operation").click()
    page.get_by_role("button", name="Thumbnail").click()
    page.get_by_label("Width").fill("5")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("width must be between 16 and 3840.")).to_be_visible()
    page.get_by_label("Width").fill("160")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url(re.compile("/admin/media_jobs/job/.*/change/"))

    page.goto(f"{server.url}{FILES}{pk}/change/")
    picture = page.locator("[data-panel=artifacts] li", has_text="thumbnail.jpg").locator("img")
    expect(picture).to_be_visible(timeout=SOON)
    picture.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.mr-made img')].every((each) => each.naturalWidth > 0)"
    )


def test_the_list_shows_files_runs_on_a_selection_and_deletes_after_a_preview(
    page: Page, server: Server, clip: bytes
) -> None:
    names = ["one.mp4", "two.mp4"]
    for number, name in enumerate(names):
        send(server, name, clip + bytes([number]))
    send(server, "words.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    page.goto(f"{server.url}{FILES}")
    choose(page, *names, "words.srt", action="Run an operation")
    page.get_by_role("button", name="Thumbnail").click()
    expect(page.get_by_text("Skipped: words.srt (subtitle).")).to_be_visible()
    page.get_by_role("button", name="Run on 2 files").click()
    expect(page.get_by_role("heading", name="Thumbnail on 2 files")).to_be_visible()
    expect(page.get_by_text("2 of 2 jobs ended")).to_be_visible()

    page.goto(f"{server.url}{FILES}")
    choose(page, "words.srt", action="Delete")
    expect(page.get_by_text("This will be deleted. It cannot be undone.")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("Deleted 1 file.")).to_be_visible()
    expect(page.get_by_role("link", name="words.srt")).to_have_count(0)


def choose(page: Page, *names: str, action: str) -> None:
    for name in names:
        page.locator("tr", has=page.get_by_role("link", name=name, exact=True)).locator("input.action-select").check()
    page.locator("select[name=action]").select_option(label=action)
    page.get_by_role("button", name="Run", exact=True).click()


def test_a_link_is_copied_and_works_for_somebody_without_an_account(page: Page, server: Server, clip: bytes) -> None:
    pk = send(server, HOSTILE, clip + b"linked")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}{FILES}{pk}/change/")
    page.get_by_role("link", name="Create a link").click()
    expect(page.get_by_label("Valid for")).to_have_value("86400")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Copy").last.click()
    link = page.locator("#mr-link").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == link
    assert server.get(link.removeprefix(server.url)).body == clip + b"linked"
    page.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == link.rpartition("/")[0] + "/"
    page.get_by_role("button", name="Revoke all links").click()
    expect(page.get_by_text("All links to this file are revoked.")).to_be_visible()
    assert server.get(link.removeprefix(server.url)).code == "invalid_link"


def test_the_list_is_exported_by_its_link(page: Page, server: Server, clip: bytes) -> None:
    send(server, "=1+1.mp4", clip + b"export")
    page.goto(f"{server.url}{FILES}?q==1")
    with page.expect_download() as download:
        page.get_by_title("Export all rows of this list to CSV").click()
    assert "'=1+1.mp4,video," in download.value.path().read_text()
