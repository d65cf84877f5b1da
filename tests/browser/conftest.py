"""A Chromium, and a web site of another origin than Millrace, from which pages use the API."""

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import chromium
from tests.support.network_relay import Relay
from tests.support.running_servers import running
from tests.support.server import ROOT, Server, Template


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop running, so that Django takes every test of this worker for asynchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=20_000)  # five seconds are few on a machine that is busy with tests
    with chromium() as browser:
        if browser is None:
            pytest.skip("there is no Chromium here")
        yield browser
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """No log: nothing reads it."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The origin of a site that shows the files of this repository."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=ROOT)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def _server(template: Template, tmp_path_factory: pytest.TempPathFactory, site: str) -> Iterator[Server]:
    with running(template, tmp_path_factory, CORS_ORIGINS=site) as server:
        yield server


@pytest.fixture
def server(_server: Server) -> Server:
    """One server for all these tests, which may kill it."""
    if not _server.is_running:
        _server.restart()
    return _server


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay
