"""Several first starts at once: one prepares, the others wait, and all of them come up."""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.preloaded_processes import ReadyDjango
from tests.support.server import drop_database, environment, sql

STARTS = 3
_START = """
from config import first_start
first_start.prepare()
print("password", first_start.first_account())
"""
_COUNT = """
from django.contrib.auth.models import User
from uploads.models import SinkMark
print(User.objects.count(), SinkMark.objects.count())
"""


@pytest.fixture
def environments(tmp_path: Path) -> Iterator[list[dict[str, str]]]:
    """New homes, with nothing in them: one for all with SQLite; with PostgreSQL one each, which share the media."""
    base = os.environ.get("DATABASE_URL", "")
    if not base.startswith("postgres"):
        yield [environment(tmp_path / "home", "")] * STARTS
        return
    name = f"millrace_{uuid.uuid4().hex[:12]}"
    database_url = f"{base.rpartition('/')[0]}/{name}"
    sql(database_url, f'CREATE DATABASE "{name}"')
    (tmp_path / "media").mkdir()
    homes = [tmp_path / f"home-{number}" for number in range(STARTS)]
    for home in homes:
        home.mkdir()
        (home / "media").symlink_to(tmp_path / "media")
    yield [environment(home, database_url) for home in homes]
    drop_database(database_url)


def test_of_several_first_starts_at_once_one_prepares_and_all_come_up(environments: list[dict[str, str]]) -> None:
    ready = [ReadyDjango() for _ in environments]
    with ThreadPoolExecutor(STARTS) as at_once:
        done = list(
            at_once.map(lambda one, its: one.run(its, "shell", "-v0", "-c", _START), ready, environments)
        )  # fmt: skip
    assert [start.returncode for start in done] == [0] * STARTS, done
    passwords = [start.stdout.split()[-1] for start in done]
    assert passwords.count("None") == STARTS - 1
    assert ready[0].run(environments[0], "shell", "-v0", "-c", _COUNT).stdout.split() == ["1", "1"]
    for one in ready:
        one.end()
