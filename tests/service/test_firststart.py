"""Several first starts at once: one prepares, the others wait, and all of them come up."""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import outside_services
from tests.support.in_server import accounts, startup
from tests.support.preloaded_processes import ReadyDjango
from tests.support.run import result_of, words_for
from tests.support.server import drop_database, environment, sql

STARTS = 3


@pytest.fixture
def environments(tmp_path: Path) -> Iterator[list[dict[str, str]]]:
    """New homes, with nothing in them: one for all with SQLite; with PostgreSQL one each, which share the store."""
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
    shared = outside_services.variables(tmp_path)
    yield [environment(home, database_url, SECRET_KEY="one for all " * 5) | shared for home in homes]
    drop_database(database_url)
    outside_services.drop_store(tmp_path)


def test_of_several_first_starts_at_once_one_prepares_and_all_come_up(environments: list[dict[str, str]]) -> None:
    ready = [ReadyDjango() for _ in environments]
    with ThreadPoolExecutor(STARTS) as at_once:
        words = words_for(startup.prepare_and_make_first_account)
        done = list(at_once.map(lambda one, its: one.run(its, words), ready, environments))
    assert [start.returncode for start in done] == [0] * STARTS, done
    made = [result_of(start.stdout) for start in done]
    assert made.count(None) == STARTS - 1
    counted = ready[0].run(environments[0], words_for(accounts.count_accounts_and_marks))
    assert result_of(counted.stdout) == [1, 1]
    for one in ready:
        one.end()
