"""The likeliest disasters of `make drill`, by the commands that people type: an older database, and none at all.

The drill has more of them, and jobs, and takes minutes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drill.disasters import ADOPT, take_database_away
from tests.drill.installation import Installation
from tests.support.server import Server, Template, drop_database


@pytest.fixture
def here(template: Template, tmp_path: Path, clip: bytes) -> Iterator[Installation]:
    server = Server(tmp_path / "home", dict(template.tokens), template.copy_to(tmp_path / "home"))
    first_database = server.database_url
    server.start()
    yield Installation(server, clip)
    server.end()
    drop_database(first_database)


def test_a_database_that_is_older_or_lost_loses_no_file(here: Installation) -> None:
    server = here.server
    shared, doomed = here.put("alice", "old.mp4"), here.put("alice", "doomed.mp4")
    here.form("bob", "form.mp4")
    half = here.half_tus("alice", "half.mp4")
    server.manage("housekeeping", "--once")
    snapshot = server.manage("backup", str(server.home / "mine")).stdout.split(": the database")[0]

    known_once = here.kept[doomed]
    here.delete(doomed)
    here.put("bob", "shared.mp4", here.content[here.kept[shared].sha256])
    here.rename(shared, "renamed since.mp4")
    here.finish_tus("alice", *half)
    here.put("admin", "newer.mp4")
    server.manage("housekeeping", "--once")
    before = here.bytes_there()
    server.kill()

    said = server.manage("restore", snapshot).stdout
    assert "3 are in the storage and not in the database. `manage.py rebuild` adds them" in said
    assert "1 are in the database, and their bytes are missing in the storage" in said
    nothing_is_deleted(here, before)
    server.manage("rebuild")
    nothing_is_deleted(here, before)
    server.start()
    here.check_files(but=frozenset(here.deleted))
    here.kept[doomed] = known_once  # the snapshot still knew it
    here.delete(doomed)
    server.manage("housekeeping", "--once")
    server.kill()

    take_database_away(here)
    here.check_refused(*ADOPT)
    nothing_is_deleted(here, before)
    server.manage("adopt-storage", "--yes")
    nothing_is_deleted(here, before)
    assert "5 files rebuilt" in server.manage("rebuild").stdout
    here.renew_tokens()
    server.start()
    assert here.check_files() == 5
    here.check_fsck()


def nothing_is_deleted(here: Installation, before: set[str]) -> None:
    here.hours_pass()
    assert before <= here.bytes_there()
