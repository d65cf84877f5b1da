"""Staff make a token at a browser: they find the account by typing, and copy the secret from the page after."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser_pages import LOOKS, PHOTOS, is_wider_than_its_window
from tests.support.browser_staff import signed_in
from tests.support.server import Server


def find_account(page: Page, beginning: str) -> None:
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill(beginning)
    page.locator(".select2-results__option", has_text=beginning).first.click()


@pytest.mark.parametrize("look", LOOKS)
def test_a_token_is_made_and_copied(look: str, browser: Browser, server: Server) -> None:
    PHOTOS.mkdir(parents=True, exist_ok=True)
    with signed_in(browser, server, "admin", **LOOKS[look]) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{server.url}/admin/uploads/token/")
        page.locator("a[href='/admin/uploads/token/add/']").first.click()
        find_account(page, "alice")
        page.fill("#id_name", "camera")
        page.screenshot(path=PHOTOS / f"token-form-{look}.png", full_page=True)
        assert not is_wider_than_its_window(page)
        page.get_by_role("button", name="Create").click()
        secret = page.locator("#mr-token").inner_text()
        page.get_by_role("button", name="Copy").click()
        assert page.evaluate("navigator.clipboard.readText()") == secret
        page.screenshot(path=PHOTOS / f"token-made-{look}.png", full_page=True)
        assert not is_wider_than_its_window(page)
        me = server.get("/api/v1/me/", {"Authorization": f"Bearer {secret}"}).json()
        assert (me["username"], me["scopes"]) == ("alice", ["upload", "read", "work"])
        page.get_by_role("link", name="All tokens").click()
        expect(page.locator("#result_list")).to_contain_text(secret[:8])
        page.screenshot(path=PHOTOS / f"token-list-{look}.png", full_page=True)
        assert secret not in page.content()
