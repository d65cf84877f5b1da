"""Times on pages: the viewer's with scripts, the server's without, UTC in the title; and UTC in the API."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser_staff import signed_in
from tests.support.running_servers import running
from tests.support.server import Server, Template

TOKYO, KOLKATA = timezone(timedelta(hours=9)), timezone(timedelta(hours=5, minutes=30))
FORMAT = "%-d %b %Y, %H:%M:%S"


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, TIME_ZONE="Asia/Kolkata") as made:
        made.start_worker("quick")
        yield made


@pytest.fixture(scope="module")
def file(server: Server, clip: bytes) -> dict[str, Any]:
    found: dict[str, Any] = server.request("PUT", "/api/v1/upload/clip.mp4", clip, user="operator").json()
    return found


def written(moment: datetime) -> re.Pattern[str]:
    """As browsers and Django write it: months have three letters, or four."""
    day, month, rest = moment.strftime(FORMAT).split(" ", 2)
    return re.compile(f"^{day} {month}t? {rest}$")


def moments_of(page: Page) -> list[tuple[str, datetime]]:
    """What each says, and which moment it is."""
    places = page.locator("time[datetime]:not(:has-text(' ago')):not(:has-text('just now'))").all()
    return [(place.inner_text(), datetime.fromisoformat(place.get_attribute("datetime") or "")) for place in places]


def pages(server: Server, file: dict[str, Any]) -> list[str]:
    [job] = server.get(f"/api/v1/jobs/?file={file['id']}&wait=1", user="operator").json()["results"]
    [upload] = server.get("/api/v1/uploads/", user="operator").json()["results"]
    return [
        "/admin/uploads/mediafile/", f"/admin/uploads/mediafile/{file['id']}/change/", "/admin/uploads/upload/",
        f"/admin/uploads/upload/{upload['id']}/change/", "/admin/media_jobs/job/",
        f"/admin/media_jobs/job/{job['id']}/change/",
    ]  # fmt: skip


def test_pages_show_the_time_of_who_looks_and_utc_in_the_title(
    browser: Browser, server: Server, file: dict[str, Any]
) -> None:
    with signed_in(browser, server, timezone_id="Asia/Tokyo") as page:
        for address in pages(server, file):
            page.goto(server.url + address)
            expect(page.locator("time[data-local]")).to_have_count(0)
            found = moments_of(page)
            assert found, address
            for said, moment in found:
                assert written(moment.astimezone(TOKYO)).match(said), (address, said)
            title = page.locator("time").first.get_attribute("title") or ""
            assert title == f"{found[0][1]:%Y-%m-%d %H:%M:%S} UTC"


def test_what_is_put_into_a_page_later_is_in_the_viewers_time_too(
    browser: Browser, server: Server, file: dict[str, Any]
) -> None:
    with signed_in(browser, server, timezone_id="Asia/Tokyo") as page:
        page.goto(f"{server.url}/admin/")
        moment = '<p><time datetime="2026-07-01T20:00:00.000+00:00" data-local>server</time></p>'
        page.evaluate("html => { document.body.insertAdjacentHTML('beforeend', html) }", moment)
        expect(page.locator('time[datetime^="2026-07-01"]')).to_have_text("2 Jul 2026, 05:00:00")


def test_without_scripts_pages_show_the_servers_time(browser: Browser, server: Server, file: dict[str, Any]) -> None:
    with signed_in(browser, server, timezone_id="Asia/Tokyo", java_script_enabled=False) as page:
        page.goto(f"{server.url}/admin/uploads/mediafile/")
        found = moments_of(page)
        assert found
        assert all(written(moment.astimezone(KOLKATA)).match(said) for said, moment in found), found


def test_programs_read_and_write_utc(server: Server, file: dict[str, Any]) -> None:
    assert file["created_at"].endswith("Z")
    found = server.get(f"/api/v1/files/{file['id']}/", user="operator").json()
    assert found["created_at"] == file["created_at"]
