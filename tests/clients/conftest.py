"""What uploads with real clients need: a server of their own, and a wire to it that can be cut."""

from collections.abc import Iterator

import pytest

from tests.support.network_relay import Relay
from tests.support.running_servers import running
from tests.support.server import Server, Template


@pytest.fixture(scope="session")
def _server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory) as server:
        yield server


@pytest.fixture
def server(_server: Server) -> Server:
    """One for all these tests. They may kill it."""
    if not _server.is_running:
        _server.restart()
    return _server


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay
