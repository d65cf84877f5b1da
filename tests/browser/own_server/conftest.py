"""Pages of the admin, in modules that each have a server of their own: that of ../conftest.py may be killed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser_staff import signed_in
from tests.support.running_servers import running
from tests.support.server import Server, Template


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A module that needs a worker starts it in a fixture of the same name, which takes this one."""
    with running(template, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def may_say() -> str:
    """Lines in the console that end with this fail no test. A module may have a fixture of this name, too."""
    return ""


@pytest.fixture
def page(browser: Browser, server: Server, may_say: str) -> Iterator[Page]:
    """Of a signed-in operator."""
    with signed_in(browser, server, may_say=may_say) as page:
        yield page
