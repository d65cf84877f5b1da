"""Staff make a token at a browser: they find the account by typing, and copy the secret from the page after."""

from playwright.sync_api import Browser, Page, expect

from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph
from tests.support.browser_staff import signed_in
from tests.support.server import Server


def find_account(page: Page, beginning: str) -> None:
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill(beginning)
    page.locator(".select2-results__option", has_text=beginning).first.click()


def test_a_token_is_made_and_copied(browser: Browser, server: Server) -> None:
    with signed_in(browser, server, "admin") as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{server.url}/admin/uploads/token/")
        page.locator("a[href='/admin/uploads/token/add/']").first.click()
        find_account(page, "alice")
        page.fill("#id_name", "camera")
        check_looks(page, "token-form")
        page.get_by_role("button", name="Create").click()
        secret = page.locator("#mr-token").inner_text()
        page.get_by_role("button", name="Copy").click()
        assert page.evaluate("navigator.clipboard.readText()") == secret
        check_looks(page, "token-made")
        me = server.get("/api/v1/me/", {"Authorization": f"Bearer {secret}"}).json()
        assert (me["username"], me["scopes"]) == ("alice", ["upload", "read", "work"])
        page.get_by_role("link", name="All tokens").click()
        expect(page.locator("#result_list")).to_contain_text(secret[:8])
        check_looks(page, "token-list")
        assert secret not in page.content()


def check_looks(page: Page, name: str) -> None:
    for look in looks_of(page):
        photograph(page, f"{name}-{look}")
        assert not is_wider_than_its_window(page), f"{name} scrolls sideways: {look}"
