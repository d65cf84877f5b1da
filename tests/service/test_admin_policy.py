"""Permissions in the admin. Every URL below /admin/ is tried, also new ones."""

import re
from collections.abc import Iterator

import pytest
from django.urls import get_resolver

from tests.support.admin_client import Browser, signed_in
from tests.support.api_endpoints import addresses
from tests.support.in_server import admin_rows
from tests.support.running_servers import running
from tests.support.server import Server, Template

HOSTILE = """<script>alert(1)</script>{{7*7}}"x-data=1"""
# They change nothing but who is signed in, or only look.
_HARMLESS = {"/admin/login/", "/admin/logout/", "/admin/jsi18n/", "/admin/password_change/", "/admin/"}


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def pages(server: Server) -> list[str]:
    """Every address below /admin/, about rows that exist."""
    rows = server.call(admin_rows.make_one_of_each, HOSTILE)
    found = []
    for address in addresses(get_resolver("config.urls")):
        if address.startswith("/admin/"):
            of = "/".join(address.split("/")[2:4])
            found.append(
                re.sub(r"(?<=/)(made-up|00000000-[-0-9]+|7|a{64})(?=/)", str(rows.get(of, "made-up")), address)
            )
    return sorted({*found} - _HARMLESS)


@pytest.fixture
def viewer(server: Server) -> Browser:
    return signed_in(server, "viewer")


def test_every_page_of_every_kind_of_row_is_tried(pages: list[str]) -> None:
    for kind in ("uploads/mediafile", "uploads/upload", "media_jobs/job"):
        assert f"/admin/{kind}/add/" in pages
        assert any(re.fullmatch(rf"/admin/{kind}/[-0-9a-f]+/change/", page) for page in pages), kind


def test_a_viewer_changes_nothing_by_any_address(server: Server, viewer: Browser, pages: list[str]) -> None:
    before = server.call(admin_rows.all_rows)
    said = {page: viewer.post(page, {"post": "yes", "confirm": "yes", "paused": "on"}).status for page in pages}
    assert server.call(admin_rows.all_rows) == before
    acting = {page: status for page, status in said.items() if re.search(r"/(add|change|delete)/$", page)}
    assert acting
    assert set(acting.values()) <= {403}, acting
    assert not [page for page, status in said.items() if status >= 500], said


def test_a_viewer_sees_no_accounts_and_no_tokens(viewer: Browser) -> None:
    for page in ("/admin/auth/user/", "/admin/auth/group/", "/admin/uploads/token/", "/admin/admin/logentry/"):
        assert viewer.request("GET", page).status == 403


def test_whoever_is_no_staff_is_shown_the_door(server: Server, pages: list[str]) -> None:
    browser = Browser(server)
    for page in pages:
        answer = browser.request("GET", page)
        assert answer.status in {302, 404}, page
        assert answer.status == 404 or answer.headers["Location"].startswith("/admin/login/"), page


def test_no_page_fails_and_what_people_wrote_is_text_on_each(server: Server, pages: list[str]) -> None:
    browser = signed_in(server, "admin")
    shown = 0
    for page in pages:
        answer = browser.request("GET", page)
        assert answer.status < 500, page
        if not answer.headers["Content-Type"].startswith("text/html"):
            continue
        text = answer.body.decode()
        assert "<script>alert(1)" not in text, page
        assert not re.search(r'\sx-[\w:.-]+="[^"]*7\*7', text), page
        shown += "&lt;script&gt;alert(1)" in text
    assert shown >= 5
