"""The transcript on the page of a file, in a real Chromium: it follows the player, and is clicked and searched."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph, wait_for
from tests.support.file_page import MEDIA, open_file, seek
from tests.support.in_server import finished_jobs
from tests.support.server import Server
from tests.support.troubled_clips import clip

BOX = "document.querySelector('.mr-cues')"
HOSTILE = "<img src=x onerror=alert(1)> is no picture"
USER = "operator"
WORDS = 30_000


def transcript(*texts: str, seconds: float) -> str:
    """Each text is a cue, of words that are equally long."""
    return json.dumps({"language": "en", "cues": [cue(text, n * seconds, seconds) for n, text in enumerate(texts)]})


def cue(text: str, start: float, seconds: float) -> dict[str, Any]:
    said = text.split(" ")
    step = seconds / len(said)
    words = [
        {"start": start + n * step, "end": start + (n + 1) * step, "text": f" {word}", "probability": 0.9}
        for n, word in enumerate(said)
    ]
    return {"start": start, "end": start + seconds, "text": text, "words": words}


@pytest.fixture(scope="module")
def film(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """14 seconds with 28 cues, of which a box holds about a third."""
    content = clip("faststart.mp4", tmp_path_factory.mktemp("clips")).read_bytes()
    pk = str(server.put("film.mp4", content, user=USER).json()["id"])
    texts = [HOSTILE, "The ship left the", "Harbour early", *(f"Said as number {n} of all" for n in range(25))]
    made = tmp_path_factory.mktemp("transcript")
    (made / "transcript.json").write_text(transcript(*texts, seconds=0.5))
    for name in ("txt", "srt"):
        (made / f"transcript.{name}").write_text(f"as {name}")
    (made / "transcript.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:14.000\nThe ship &lt;b>\n")
    server.call(finished_jobs.finish_job, pk, "transcribe", str(made))
    return pk


def open_page(page: Page, server: Server, pk: str) -> Locator:
    open_file(page, server, pk)
    return page.locator(".mr-cues li")


def test_the_cue_that_is_heard_is_marked_and_only_its_box_scrolls(page: Page, server: Server, film: str) -> None:
    cues = open_page(page, server, film)
    expect(cues).to_have_count(28)
    expect(cues.first.locator("p")).to_have_text(HOSTILE)
    page.evaluate("document.querySelector('main, body').scrollTop = 0")
    before = page.evaluate("[scrollX, scrollY]")
    seek(page, 12.1)
    expect(page.locator(".mr-cues li[aria-current]")).to_contain_text("Said as number 21 of all")
    assert page.evaluate(f"{BOX}.scrollTop") > 100
    assert page.evaluate("[scrollX, scrollY]") == before
    for look in looks_of(page):
        photograph(page, f"transcript-{look}")
        assert not is_wider_than_its_window(page)


def test_it_stays_where_the_reader_looks(page: Page, server: Server, film: str) -> None:
    cues = open_page(page, server, film)
    cues.first.locator("p").hover()
    seek(page, 12.1)
    expect(cues.nth(24)).to_have_attribute("aria-current", "true")
    assert page.evaluate(f"{BOX}.scrollTop") == 0
    page.mouse.move(0, 0)
    seek(page, 13.1)
    expect(cues.nth(26)).to_have_attribute("aria-current", "true")
    assert page.evaluate(f"{BOX}.scrollTop") > 100


def test_a_click_on_a_word_and_keys_lead_to_their_time(page: Page, server: Server, film: str) -> None:
    cues = open_page(page, server, film)
    middle = page.evaluate(
        """() => {
          const text = document.querySelectorAll('.mr-cues p')[1].firstChild, range = document.createRange();
          range.setStart(text, 9); range.setEnd(text, 13);  // left
          const { x, y, width, height } = range.getBoundingClientRect();
          return [x + width / 2, y + height / 2];
        }"""
    )
    page.mouse.click(*middle)
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(0.75, abs=0.01)
    cues.first.get_by_role("button").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate(f"{MEDIA}.currentTime") == pytest.approx(1, abs=0.01)
    page.keyboard.press("End")
    expect(cues.last.get_by_role("button")).to_be_focused()
    assert page.locator(".mr-cues [tabindex='0']").count() == 1


def test_words_are_searched_also_across_cues(page: Page, server: Server, film: str) -> None:
    open_page(page, server, film)
    field = page.get_by_role("searchbox", name="Search in the transcript")
    count = page.locator(".mr-transcript-search output")
    field.fill("the  harbour EARLY")
    expect(count).to_have_text("1 of 1")
    places = "[...CSS.highlights.get('mr-match')].map(({ startOffset, endOffset }) => [startOffset, endOffset])"
    assert page.evaluate(places) == [[14, 17], [0, 13]]
    field.fill("number")
    expect(count).to_have_text("1 of 25")
    field.press("Shift+Enter")
    expect(count).to_have_text("25 of 25")
    assert page.evaluate(f"{BOX}.scrollTop") > 100
    page.get_by_role("button", name="Next match").click()
    expect(count).to_have_text("1 of 25")
    for look in looks_of(page):
        photograph(page, f"transcript-search-{look}")
        assert not is_wider_than_its_window(page)
    field.fill("[(*")
    expect(count).to_have_text("No match")
    expect(page.get_by_role("button", name="Next match")).to_be_disabled()


def test_it_is_downloaded_in_each_format(page: Page, server: Server, film: str) -> None:
    open_page(page, server, film)
    links = page.locator(".mr-panel-head a")
    expect(links).to_have_text(["TXT", "SRT", "VTT", "JSON"])
    with page.expect_download() as download:
        links.nth(1).click()
    assert download.value.suggested_filename == "transcript.srt"


def test_it_is_offered_as_captions_also_on_the_page_of_a_signed_link(
    browser: Browser, page: Page, server: Server, film: str
) -> None:
    open_page(page, server, film)
    expect_captions(page, "Transcript en")  # by hls.js
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")  # the player looks for renditions again
    page.wait_for_timeout(500)
    assert page.evaluate(f"{MEDIA}.textTracks[0].cues.length") == 1
    link = server.request("POST", f"/api/v1/files/{film}/link/", user=USER).json()["page_url"]
    with browser.new_context() as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text))
        page.goto(link)
        wait_for(page, f"{MEDIA}.readyState >= 1")
        expect_captions(page, "Transcript en")
    assert not wrong


def test_without_hls_js_it_is_offered_once_too_with_its_language(page: Page, server: Server, film: str) -> None:
    def without_script(route: Route) -> None:
        found = route.fetch()
        route.fulfill(response=found, body=re.sub('data-hls="[^"]+"', 'data-hls=""', found.text()))

    link = server.request("POST", f"/api/v1/files/{film}/link/", user=USER).json()["page_url"]
    for url in (f"{server.url}/admin/uploads/mediafile/{film}/change/", link):
        page.route(url, without_script)
        page.goto(url)
        wait_for(page, f"{MEDIA}.readyState >= 1")
        expect_captions(page, "Transcript")
        assert page.evaluate(f"{MEDIA}.textTracks[0].language") == "en"


def expect_captions(page: Page, label: str) -> None:
    tracks = f"{MEDIA}.textTracks"
    wait_for(page, f"{tracks}.length === 1 && {tracks}[0].label === '{label}'")
    assert page.evaluate(f"{tracks}[0].mode") == "disabled"
    page.evaluate(f"{tracks}[0].mode = 'showing'")
    wait_for(page, f"{tracks}[0].cues?.length === 1")
    seek(page, 1)
    wait_for(page, f"{tracks}[0].activeCues?.[0]?.text === 'The ship &lt;b>'")


def test_captions_of_a_long_film_have_their_times_wherever_one_begins(
    page: Page, server: Server, tmp_path: Path
) -> None:
    pk = str(server.put("hour.mp4", clip("hour.mp4", tmp_path).read_bytes(), user=USER).json()["id"])
    (tmp_path / "made").mkdir()
    (tmp_path / "made/transcript.json").write_text(transcript("Hello", seconds=3600))
    cues = [f"00:{minute:02}:00.000 --> 00:{minute:02}:59.000\nMinute {minute}\n\n" for minute in range(60)]
    (tmp_path / "made/transcript.vtt").write_text(f"WEBVTT\n\n{''.join(cues)}")
    server.call(finished_jobs.finish_job, pk, "transcribe", str(tmp_path / "made"))
    open_page(page, server, pk)
    tracks = f"{MEDIA}.textTracks"
    wait_for(page, f"{tracks}[0]?.label === 'Transcript en'")
    seek(page, 45 * 60 + 30)
    page.evaluate(f"{tracks}[0].mode = 'showing'")
    for minute in (45, 3, 59):  # in other segments
        seek(page, minute * 60 + 30)
        wait_for(page, f"[...{tracks}[0].activeCues ?? []].map(({{ text }}) => text).join() === 'Minute {minute}'")


@pytest.mark.parametrize("is_there_before", [False, True])
def test_captions_of_a_transcript_that_is_made_meanwhile_can_be_chosen(
    is_there_before: bool, page: Page, server: Server, tmp_path: Path
) -> None:
    """hls.js shows the one that is there before, and goes on to offer it."""
    pk = str(server.put("film.mp4", clip("faststart.mp4", tmp_path).read_bytes(), user=USER).json()["id"])

    def make(version: int) -> None:
        (folder := tmp_path / str(version)).mkdir()
        (folder / "transcript.json").write_text(transcript("Said", seconds=14))
        (folder / "transcript.vtt").write_text(f"WEBVTT\n\n00:00.000 --> 00:14.000\nSaid in version {version}\n")
        server.call(finished_jobs.finish_job, pk, "transcribe", str(folder))
        page.evaluate("document.dispatchEvent(new Event('mr-finished'))")  # as the page does when a job has ended

    tracks = f"[...{MEDIA}.textTracks]"
    if is_there_before:
        make(1)
    open_page(page, server, pk)
    if not is_there_before:
        make(1)
    wait_for(page, f"{tracks}.at(-1)?.language === 'en'")
    page.evaluate(f"{tracks}.at(-1).mode = 'showing'")  # stays so with the next transcript
    make(2)
    wait_for(page, f"{tracks}.find(({{ mode }}) => mode === 'showing')?.cues?.[0]?.text === 'Said in version 2'")
    wait_for(page, f"{tracks}.at(-1).language === 'en'")
    found = page.evaluate(f"{tracks}.map(({{ label, language }}) => [label, language])")
    assert found == ([["Transcript en", "en"]] if is_there_before else []) + [
        ["Newer transcript" if is_there_before else "Transcript", "en"]
    ]


def test_one_of_three_hours_appears_on_an_open_page_and_replaces_it(
    page: Page, server: Server, film: str, tmp_path: Path
) -> None:
    cues = open_page(page, server, film)
    expect(cues).to_have_count(28)
    texts = [f"{n} and five more words here" for n in range(WORDS // 6)]
    (tmp_path / "transcript.json").write_text(transcript(*texts, seconds=3 * 3600 / len(texts)))
    server.call(finished_jobs.finish_job, film, "transcribe", str(tmp_path))
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")  # as the page does when a job has ended
    expect(cues).to_have_count(len(texts))
    expect(cues.last.get_by_role("button")).to_have_text("2:59:57")
    expect(page.locator(".mr-panel-head a")).to_have_text(["JSON"])
    page.get_by_role("searchbox", name="Search in the transcript").fill("e")
    expect(page.locator(".mr-transcript-search output")).to_have_text(f"1 of {4 * len(texts)}")
