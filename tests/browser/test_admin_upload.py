"""Uploading in the admin, in Chromium: with Uppy over the form, and by the form alone."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser_staff import sign_in, signed_in
from tests.support.in_server import arrivals
from tests.support.server import ROOT, Server, query
from tests.support.waiting import wait_until

ADD = "/admin/uploads/mediafile/add/"
FILE_PAGE = re.compile(r"/admin/uploads/mediafile/[0-9a-f-]{36}/change/$")
SENDING = re.compile(r"Uploading: [\d.]+ MB \(\d+ %\) at [\d.]+ MB/s, \d+ s left")
FILES = "input[type=file]"
UPPYS_FILES = FILES + "[multiple]"  # takes several once Uppy is there: until then nothing answers
needs_uppy = pytest.mark.skipif(not (ROOT / "node_modules/uppy").exists(), reason="npm did not install uppy")
Film = Callable[..., bytes]
LONG = 36_000_000  # bytes


@contextmanager
def slow_line(page: Page) -> Iterator[None]:
    """4 MB a second: slow enough for what is to be done meanwhile."""
    wire = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    wire.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 4_000_000})
    yield
    wire.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})


def wait_for_bar(page: Page, beyond: float) -> None:
    page.wait_for_function("beyond => document.querySelector('.mr-sending progress')?.value > beyond", arg=beyond)


def is_held(server: Server) -> bool:
    """Whether some upload of a long film has a holder: the server learns of a pause when it looks next."""
    held = "state = 'receiving' AND heartbeat_at IS NOT NULL AND name LIKE 'A %'"
    return bool(query(server, f"SELECT 1 FROM uploads_upload WHERE {held}"))  # noqa: S608  # our own words


def offset(server: Server) -> int:
    """Of the newest upload, as its client is told."""
    newest = server.get("/api/v1/uploads/?page_size=1", user="operator").json()["results"][0]
    found: int = server.get(
        f"/api/v1/uploads/{newest['id']}", {"Accept": "application/json"}, user="operator"
    ).json()["offset"]
    return found


def arrived(server: Server, page: Page) -> bytes:
    """The content of the file on whose page we are."""
    pk = page.url.rstrip("/").split("/")[-2]
    return server.get(f"/api/v1/files/{pk}/content", user="operator").body


@pytest.fixture
def long_film(film: Film, tmp_path: Path) -> Path:
    path = tmp_path / "A {{ long }} <b>film.mp4"
    path.write_bytes(film(LONG))
    return path


@pytest.fixture
def admin(browser: Browser, server: Server) -> Iterator[Page]:
    with signed_in(browser, server, may_say="409 (Conflict)") as page:  # films of random bytes have no HLS
        page.set_default_timeout(30_000)
        yield page


@needs_uppy
def test_a_film_shows_its_bar_speed_and_time_left_waits_while_paused_and_leads_to_its_page(
    admin: Page, server: Server, long_film: Path
) -> None:
    admin.goto(f"{server.url}/admin/uploads/mediafile/")
    admin.get_by_role("link", name="Upload", exact=True).click()
    with slow_line(admin):
        admin.locator(UPPYS_FILES).set_input_files(long_film)
        expect(admin.locator(".mr-sending strong")).to_have_text(long_film.name)
        expect(admin.locator(".mr-sending .mr-message")).to_have_text(SENDING, timeout=20_000)
        wait_for_bar(admin, 0.1)
        admin.get_by_role("button", name="Pause").click()
    expect(admin.locator(".mr-sending .mr-message")).to_contain_text("Paused: ")
    wait_until(lambda: not is_held(server), 30)
    paused = offset(server)
    admin.wait_for_timeout(1000)
    assert 0 < offset(server) == paused < LONG
    admin.get_by_role("button", name="Resume").click()
    admin.wait_for_url(FILE_PAGE, timeout=30_000)
    assert arrived(server, admin) == long_film.read_bytes()


@needs_uppy
def test_a_film_that_is_picked_again_after_a_reload_goes_on_where_it_stopped(
    admin: Page, server: Server, long_film: Path
) -> None:
    with slow_line(admin):
        admin.goto(server.url + ADD)
        admin.locator(UPPYS_FILES).set_input_files(long_film)
        wait_for_bar(admin, 0.3)
        admin.reload()
        with admin.expect_request(lambda request: request.method == "PATCH") as patch:
            admin.locator(UPPYS_FILES).set_input_files(long_film)
        assert int(patch.value.headers["upload-offset"]) > LONG // 6
        expect(admin.locator(".mr-sending .mr-message")).to_contain_text("Continued from", timeout=20_000)
    admin.wait_for_url(FILE_PAGE, timeout=30_000)
    assert arrived(server, admin) == long_film.read_bytes()


@needs_uppy
def test_several_films_at_once_each_lead_to_their_page(admin: Page, server: Server, film: Film) -> None:
    admin.goto(server.url + ADD)
    films = [{"name": f"{name}.mp4", "mimeType": "video/mp4", "buffer": film()} for name in ("one", "two", "three")]
    admin.locator(UPPYS_FILES).set_input_files(films)  # type: ignore[arg-type]
    shown = admin.get_by_role("link", name="Open the file")
    expect(shown).to_have_count(3)
    for link in shown.all():
        assert FILE_PAGE.search(link.get_attribute("href") or "")


@needs_uppy
def test_the_presets_that_are_ticked_are_to_be_run_on_the_file(
    admin: Page, browser: Browser, server: Server, film: Film
) -> None:
    """With scripts and without. A choice that is left as it was is no choice: that of the account holds."""
    wanted, other = (server.call(arrivals.save_preset, "operator", name) for name in ("Wanted <b>", "Other"))

    def sent(page: Page, name: str, **ticks: bool) -> Any:
        page.goto(server.url + ADD)
        for label, is_ticked in ticks.items():
            page.get_by_label(label).set_checked(is_ticked)
        chosen = page.locator(FILES if page is plain else UPPYS_FILES)
        chosen.set_input_files({"name": name, "mimeType": "video/mp4", "buffer": film()})
        if page is plain:
            page.get_by_role("button", name="Upload", exact=True).click()
        page.wait_for_url(FILE_PAGE)
        return server.call(arrivals.named_by_uploads)[page.url.split("/")[-3]]

    with browser.new_context(java_script_enabled=False) as context:
        plain = context.new_page()
        sign_in(plain, server, "operator")
        assert sent(plain, "plain.mp4", Wanted=True) == [wanted]
        assert sent(plain, "none.mp4") == []
    assert sent(admin, "left.mp4") is None
    assert sent(admin, "both.mp4", Wanted=True, Other=True) == [other, wanted]
    server.call(arrivals.run_on_arrival, wanted)
    assert sent(admin, "neither.mp4", Wanted=False) == []
    server.call(arrivals.delete_presets, "operator")


@needs_uppy
def test_a_cancelled_upload_leaves_nothing(browser: Browser, server: Server, long_film: Path) -> None:
    before = server.stored_bytes()
    # The PATCH that is aborted may be answered, because of the DELETE, before Chromium has aborted it.
    with signed_in(browser, server, may_say="status of 423 (Locked)") as admin:
        admin.goto(server.url + ADD)
        with slow_line(admin):
            admin.locator(UPPYS_FILES).set_input_files(long_film)
            wait_for_bar(admin, 0.1)
            with admin.expect_response(lambda answer: answer.request.method == "DELETE") as end:
                admin.get_by_role("button", name="Cancel").click()
        assert end.value.status == 204
        expect(admin.locator(".mr-sending")).to_have_count(0)
    assert server.stored_bytes() == before


@needs_uppy
def test_a_refusal_stands_there_in_words(browser: Browser, server: Server) -> None:
    with signed_in(browser, server, may_say="status of 415 (Unsupported Media Type)") as page:
        page.goto(server.url + ADD)
        page.locator(UPPYS_FILES).set_input_files(
            {"name": "notes.mp4", "mimeType": "video/mp4", "buffer": b"Not a film.\n" * 99}
        )
        expect(page.locator(".mr-sending .mr-state")).to_have_text("Failed")
        [[said]] = query(server, "SELECT error_detail FROM uploads_upload WHERE name = 'notes.mp4'")
        expect(page.locator(".mr-sending .mr-message")).to_have_text(said)
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_without_npm_the_form_does_the_job(admin: Page, server: Server, film: Film) -> None:
    """As its page is where Uppy was never installed."""

    def without_uppy(route: Route) -> None:
        if route.request.method == "POST":
            return route.continue_()
        answer = route.fetch()
        return route.fulfill(response=answer, body=re.sub('data-uppy="[^"]+"', 'data-uppy=""', answer.text()))

    content = film()
    admin.route(f"**{ADD}", without_uppy)
    admin.goto(server.url + ADD)
    admin.locator(FILES).set_input_files({"name": "film.mp4", "mimeType": "video/mp4", "buffer": content})
    admin.get_by_role("button", name="Upload", exact=True).click()
    admin.wait_for_url(FILE_PAGE)
    assert arrived(server, admin) == content


def test_without_javascript_the_form_does_the_job(browser: Browser, server: Server, film: Film) -> None:
    content = film()
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page, server, "operator")
        page.goto(server.url + ADD)
        page.locator(FILES).set_input_files({"name": "<b>.mp4", "mimeType": "video/mp4", "buffer": content})
        page.get_by_role("button", name="Upload", exact=True).click()
        page.wait_for_url(FILE_PAGE)
        expect(page.get_by_text("“<b>.mp4” was uploaded.")).to_be_visible()
        assert arrived(server, page) == content


def test_without_javascript_a_refusal_is_a_page_that_leads_back(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    """Though most of the file was still to come."""
    film = tmp_path / "film.mp4"
    film.write_bytes(b"Not a film.\n" * 3_000_000)
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page, server, "operator")
        page.goto(server.url + ADD)
        page.locator(FILES).set_input_files(film)
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.get_by_role("heading", name="Unsupported Media Type")).to_be_visible()
        page.get_by_role("link", name="Go back").click()
        expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()


def test_a_viewer_finds_no_way_in(browser: Browser, server: Server) -> None:
    with signed_in(browser, server, "viewer", may_say="status of 403 (Forbidden)") as page:
        page.goto(f"{server.url}/admin/uploads/mediafile/")
        expect(page.get_by_role("link", name="Upload", exact=True)).to_have_count(0)
        answer = page.goto(server.url + ADD)
        assert answer is not None
        assert answer.status == 403
        expect(page.get_by_text("Your account may view files, but not upload them.")).to_be_visible()
