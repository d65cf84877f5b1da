"""Servers for fixtures of several tests: each has its own home and database, and is removed at the end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.object_store import ObjectStore
from tests.support.server import Server, Template

StartServer = Callable[..., Server]


@contextmanager
def running(
    template: Template,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    config: str = "config.web_server.gunicorn_config",
    store: ObjectStore | None = None,
    variables: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Server]:
    """For fixtures of more than one test: a server of their own, gone with them. `store`: where its bytes live.

    `variables` of the environment are without our prefix.
    """
    home = tmp_path_factory.mktemp("server") / "home"
    server = Server(home, template.tokens, template.copy_to(home), settings, config=config)
    try:
        if store is not None:
            server.use_bucket(store)
        server.variables |= variables or {}
        server.start()
        yield server
    finally:
        server.end()


@contextmanager
def running_pair(template: Template, folder: Path) -> Iterator[list[Server]]:
    """Two servers on one home and one database, as two hosts or an unlucky restart would have them."""
    home = folder / "home"
    database_url = template.copy_to(home)
    both = [Server(home, template.tokens, database_url) for _ in range(2)]
    try:
        for server in both:
            server.start()
        yield both
    finally:
        for server in both:
            server.kill()
        for server in both:
            server.end()
