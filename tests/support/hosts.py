"""Several hosts on this machine: `serve` with a home for each, on one PostgreSQL, one Redis and one store."""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.drill.cluster import own_cluster
from tests.support import outside_services
from tests.support.failing_brokers import own_redis
from tests.support.serve_process import Serve
from tests.support.server import drop_database, sql
from tests.support.waiting import wait_until

KEY = "the same key on all hosts, long enough for Django and random enough for a test"


@contextmanager
def postgresql_database() -> Iterator[str]:
    """The URL of an empty database: on the server of DATABASE_URL, or on one that runs for this test."""
    with ExitStack() as stack:
        server = os.environ.get("DATABASE_URL", "")
        if not server.startswith("postgres"):
            cluster = stack.enter_context(own_cluster())
            if cluster is None:
                pytest.skip("PostgreSQL is not installed")
            server = cluster.url
        name = f"millrace_{uuid.uuid4().hex[:12]}"
        sql(server, f'CREATE DATABASE "{name}"')
        database_url = f"{server.rpartition('/')[0]}/{name}"
        stack.callback(drop_database, database_url)
        yield database_url


@contextmanager
def hosts(folder: Path, number: int, **settings: str) -> Iterator[list[Serve]]:
    """Hosts that were never started. They share the store: a folder, or what the test run uses in its place."""
    with postgresql_database() as database_url, own_redis() as redis:
        (folder / "media").mkdir()
        if outside_services.is_on_s3():
            settings["STORAGE"] = outside_services.storage_of(folder)
        made = [
            Serve(folder / f"host-{index}", database_url, {"SECRET_KEY": KEY} | settings) for index in range(number)
        ]
        for host in made:
            host.home.mkdir()
            (host.home / "media").symlink_to(folder / "media")
            host.variables = {"BROKER_URL": redis.url, "CACHE_URL": redis.url}
        try:
            yield made
        finally:
            for host in made:
                host.end()
            outside_services.drop_store(folder)


def start_together(made: list[Serve]) -> None:
    for host in made:
        host.start(ready=False)
    for host in made:
        wait_until(host.is_ready, 120, lambda host=host: host.output)  # type: ignore[misc]
