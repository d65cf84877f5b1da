"""The player of a file's page and of a signed link's page, in a real Chromium, with hls.js and without."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser_pages import is_wider_than_its_window, photograph, wait_for
from tests.support.server import ROOT, Server
from tests.support.troubled_clips import clip

pytestmark = pytest.mark.skipif(not (ROOT / "node_modules/hls.js").exists(), reason="npm did not install hls.js")
VIDEO = "document.querySelector('#mr-player video')"
IS_SHOWN, IS_HLS, HAS_LENGTH = f"{VIDEO}.readyState >= 2", f"{VIDEO}.src.startsWith('blob:')", f"{VIDEO}.duration"
SUBTITLES = "WEBVTT\n\n00:00.000 --> 00:14.000\nHello\n"
SUBTITLE_PLAYLIST = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:14\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:14,\nsubtitles.vtt\n#EXT-X-ENDLIST\n"
)


@pytest.fixture(scope="module")
def film(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    return sent(server, clip("faststart.mp4", tmp_path_factory.mktemp("film")))


@pytest.fixture(scope="module")
def may_say() -> str:
    return "409 (Conflict)"


def sent(server: Server, path: Path) -> str:
    return str(server.put(path.name, path.read_bytes(), user="operator").json()["id"])


def open_page(page: Page, server: Server, pk: str) -> None:
    page.goto(f"{server.url}/admin/uploads/mediafile/{pk}/change/")


def play(page: Page) -> None:
    at = page.evaluate(f"{VIDEO}.muted = true, {VIDEO}.play(), {VIDEO}.currentTime")
    wait_for(page, f"{VIDEO}.currentTime > {at} + 0.2")


def test_a_film_plays_by_hls_from_wherever_one_goes_and_nothing_moves(page: Page, server: Server, film: str) -> None:
    open_page(page, server, film)
    height = page.evaluate(f"{VIDEO}.offsetHeight")
    wait_for(page, IS_SHOWN)
    assert page.evaluate(IS_HLS)
    assert page.evaluate(f"{VIDEO}.offsetHeight") == height
    assert not page.get_by_label("Quality").is_visible()
    play(page)
    page.evaluate(f"{VIDEO}.currentTime = 11")
    wait_for(page, f"{VIDEO}.currentTime > 11.2")
    assert page.evaluate(f"{VIDEO}.getVideoPlaybackQuality().droppedVideoFrames") < 10


def test_quality_and_subtitles_are_chosen_and_a_rendition_that_is_being_made_when_it_is_complete(
    page: Page, server: Server, film: str
) -> None:
    """The renditions are the same film under other names: what makes others has tests of its own."""
    unfinished = {"video.m3u8?small"}
    add_renditions(page, unfinished, "320x180", "640x360")
    open_page(page, server, film)
    wait_for(page, IS_SHOWN)
    quality = page.get_by_label("Quality")
    expect(quality.locator("option")).to_have_text(["Auto (90p)", "360p", "180p (being made)", "90p"])
    page.evaluate(f"{VIDEO}.textTracks[0].mode = 'showing'")  # as the browser's own menu does
    wait_for(page, f"{VIDEO}.textTracks[0].cues?.[0]?.text === 'Hello'")
    with page.expect_request("**/video.m3u8?big"):
        quality.select_option("360p")
    wait_for(page, IS_SHOWN)
    play(page)
    unfinished.clear()
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")  # as the page does when a job has ended
    expect(quality.locator("option").nth(2)).to_have_text("180p")
    with page.expect_request("**/video.m3u8?small"):
        quality.select_option("180p")
    wait_for(page, IS_SHOWN)
    play(page)
    assert page.evaluate(f"{VIDEO}.currentTime") > 0.4


def test_the_menus_come_along_when_the_picture_goes_full_screen(page: Page, server: Server, film: str) -> None:
    add_renditions(page, set(), "320x180", "640x360")
    open_page(page, server, film)
    wait_for(page, IS_SHOWN)
    play(page)
    width = page.evaluate(f"{VIDEO}.offsetWidth")
    page.get_by_role("button", name="Full screen").click()
    wait_for(page, f"document.fullscreenElement?.contains({VIDEO}) && {VIDEO}.offsetWidth > {width}")
    page.get_by_label("Quality").select_option("180p")
    photograph(page, "player-full-screen")
    page.get_by_role("button", name="Leave full screen").click()
    wait_for(page, f"!document.fullscreenElement && {VIDEO}.offsetWidth === {width}")


def add_renditions(page: Page, unfinished: set[str], *sizes: str) -> None:
    names = [f"video.m3u8?{name}" for name, _ in zip(["small", "big"], sizes, strict=True)]
    lines = [
        f'#EXT-X-STREAM-INF:BANDWIDTH={10**6 * number},RESOLUTION={size},AUDIO="audio",SUBTITLES="subs"\n{name}'
        for number, (name, size) in enumerate(zip(names, sizes, strict=True), 1)
    ]
    subtitles = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",URI="subtitles.m3u8"'

    def master(text: str) -> str:
        return "\n".join([text.replace(',AUDIO="audio"', ',AUDIO="audio",SUBTITLES="subs"'), subtitles, *lines, ""])

    change(page, "**/hls/master.m3u8", master)
    change(page, "**/hls/video.m3u8?*", lambda text: first_segments(text, 2) if unfinished else text, only=unfinished)
    page.route("**/hls/subtitles.m3u8", lambda route: route.fulfill(body=SUBTITLE_PLAYLIST))
    page.route("**/hls/subtitles.vtt", lambda route: route.fulfill(body=SUBTITLES))


def change(page: Page, urls: str, changed: Callable[[str], str], only: set[str] | None = None) -> None:
    def answer(route: Route) -> None:
        if only is not None and route.request.url.rpartition("/")[2] not in only:
            return route.continue_()
        found = route.fetch()
        return route.fulfill(response=found, body=changed(found.text()))

    page.route(urls, answer)


def first_segments(playlist: str, count: int) -> str:
    """The playlist as it is while the others are being made."""
    head, *segments = playlist.replace("TYPE:VOD", "TYPE:EVENT").split("#EXTINF:")
    return "#EXTINF:".join([head, *segments[:count]])


def test_a_film_plays_from_its_beginning_while_all_its_renditions_are_being_made(
    page: Page, server: Server, film: str
) -> None:
    made = [2]
    for name in ("video", "audio0"):
        change(page, f"**/hls/{name}.m3u8", lambda text: first_segments(text, made[0]) if made[0] < 4 else text)
    open_page(page, server, film)
    wait_for(page, IS_SHOWN)
    assert page.evaluate(f"{VIDEO}.currentTime") == 0
    assert page.evaluate(HAS_LENGTH) < 10
    play(page)
    made[0] = 4
    wait_for(page, f"{HAS_LENGTH} > 13")
    page.evaluate(f"{VIDEO}.currentTime = 12")
    wait_for(page, f"{VIDEO}.currentTime > 12.2")


def test_the_file_itself_plays_where_hls_cannot_play_it(page: Page, server: Server, tmp_path: Path) -> None:
    pk = sent(server, clip("few-key-frames.mp4", tmp_path))
    open_page(page, server, pk)
    wait_for(page, IS_SHOWN)
    assert page.evaluate(f"{VIDEO}.src").endswith(f"/api/v1/files/{pk}/content")
    play(page)
    page.locator(".mr-frame").hover()
    page.get_by_role("button", name="Full screen").click()
    wait_for(page, "document.fullscreenElement")
    page.get_by_role("button", name="Leave full screen").click()
    wait_for(page, "!document.fullscreenElement")


def test_the_browser_plays_by_itself_where_hls_js_is_not_installed(page: Page, server: Server, film: str) -> None:
    change(page, "**/change/", lambda text: re.sub('data-hls="[^"]+"', 'data-hls=""', text))
    open_page(page, server, film)
    wait_for(page, IS_SHOWN)
    assert not page.evaluate(IS_HLS)
    play(page)


def test_a_signed_link_has_a_page_that_plays_without_an_account(browser: Browser, server: Server, film: str) -> None:
    link = server.request(
        "POST", f"/api/v1/files/{film}/link/", b"{}", {"Content-Type": "application/json"}, user="operator"
    ).json()
    with browser.new_context(viewport={"width": 400, "height": 850}) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text))
        page.goto(link["page_url"])
        wait_for(page, IS_SHOWN)
        assert page.evaluate(IS_HLS)
        play(page)
        assert not is_wider_than_its_window(page)
        page.keyboard.press("Tab")
        page.get_by_role("link", name="Download").focus()
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "faststart.mp4"
        assert context.cookies() == []
    assert not wrong
