"""Snapshots of the database: consistent under load, taken nightly, and refused where they cannot be what they say."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from config import snapshots
from tests.support.in_server import accounts, chores, startup
from tests.support.local_store import Film
from tests.support.running_servers import StartServer
from tests.support.server import Server, Template, query
from uploads.maintenance.backup import BackupFailed, run_tool


def test_a_snapshot_under_write_load_has_every_file_that_was_answered_before_it(
    start_server: StartServer, film: Film, tmp_path: Path
) -> None:
    server = start_server()
    answered: list[str] = []
    enough = threading.Event()

    def send() -> None:
        while not enough.is_set():
            answer = server.put("film.mp4", film(5000))
            assert answer.status == 201, answer
            answered.append(answer.json()["id"])

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    try:
        for number in range(3):
            before = set(answered)
            server.manage("backup", str(tmp_path / str(number)))
            [snapshot] = (tmp_path / str(number)).iterdir()
            assert before <= files_in(snapshot)
    finally:
        enough.set()
        for sender in senders:
            sender.join()
    assert len(answered) > len(before) > 0  # it was under load
    check_what_is_in(snapshot, server)


def files_in(snapshot: Path) -> set[str]:
    lite, dump = snapshot / "database.sqlite3", snapshot / "database.pgdump"
    if dump.exists():
        words = ["pg_restore", "--data-only", "--table=uploads_mediafile", "--file=-", str(dump)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        rows = said.partition("FROM stdin;\n")[2].partition("\\.\n")[0].splitlines()
        return {row.split("\t")[0] for row in rows}
    with contextlib.closing(sqlite3.connect(lite)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        return {str(uuid.UUID(row)) for (row,) in database.execute("SELECT id FROM uploads_mediafile")}


def check_what_is_in(snapshot: Path, server: Server) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in snapshot.iterdir()}
    database = json.loads((snapshot / "manifest.json").read_text())["database"]
    assert modes == {"manifest.json": 0o600, database: 0o600, "secret_key": 0o600}
    assert snapshot.stat().st_mode & 0o777 == 0o700
    assert (snapshot / "secret_key").read_bytes() == (server.home / "secret_key").read_bytes()


# Nightly


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Iterator[Server]:
    """An installation that does not run: its commands do all that is asked here."""
    server = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"), {"SNAPSHOTS_KEPT": "3"})
    yield server
    server.end()


def nightly(server: Server) -> list[Path]:
    """Let the chore run. Answers with the snapshots that it took: their manifests."""
    before = taken(server)
    number = server.call(snapshots.snapshot_nightly)
    new = [path for path in taken(server) if path not in before]
    assert number == len(new)
    return new


def taken(server: Server) -> list[Path]:
    return sorted((server.home / "snapshots").glob("*/manifest.json"))


def age(manifest: Path, days: int) -> None:
    """Make a snapshot look this many days old."""
    said = json.loads(manifest.read_text())
    then = datetime.fromisoformat(said["taken_at"]) - timedelta(days=days)
    manifest.write_text(json.dumps(said | {"taken_at": then.isoformat()}))
    manifest.parent.rename(manifest.parent.with_name(f"millrace-{then:%Y%m%dT%H%M%SZ}"))


def test_one_is_taken_a_day_and_the_newest_are_kept(home: Server) -> None:
    for days in range(4, 0, -1):
        [new] = nightly(home)
        assert nightly(home) == []  # there is one of today
        age(new, days)
    folder = home.home / "snapshots"
    (folder / "millrace-20200101T000000Z.half").mkdir()  # a crash left it
    (folder / "millrace-20200102T000000Z").mkdir()  # damaged: no manifest
    [new] = nightly(home)
    ages = [(datetime.now(UTC) - taken_at(path) + timedelta(hours=1)).days for path in taken(home)]
    assert ages == [2, 1, 0]
    assert not list(folder.glob("*.half"))
    assert (folder / "millrace-20200102T000000Z").is_dir()


def test_the_snapshot_of_another_host_counts_and_is_not_taken_again(home: Server) -> None:
    home.call(chores.note_snapshot_of, "other:/srv", hours_ago=5)
    assert nightly(home) == []
    assert home.call(startup.snapshot_warnings) == []
    home.call(chores.note_snapshot_of, "other:/srv", hours_ago=24)
    assert len(nightly(home)) == 1
    assert nightly(home) == []


def taken_at(manifest: Path) -> datetime:
    return datetime.fromisoformat(json.loads(manifest.read_text())["taken_at"])


def test_seven_are_kept_by_default_and_none_are_taken_where_the_setting_says_so(home: Server) -> None:
    assert settings.SNAPSHOTS_KEPT == 7
    home.settings["SNAPSHOTS_KEPT"] = "0"
    assert nightly(home) == []
    assert not (home.home / "snapshots").exists()


def test_a_snapshot_that_fails_leaves_nothing_and_is_told_of_after_two_days(home: Server) -> None:
    folder = home.home / "snapshots"
    folder.write_text("in the way")
    done = home.manage("backup", str(folder), check=False)
    assert done.returncode == 1
    assert "The snapshot could not be written" in done.stderr
    folder.unlink()
    assert home.call(startup.snapshot_warnings) == []  # this installation is new
    home.call(accounts.backdate_accounts)
    [warning] = home.call(startup.snapshot_warnings)
    assert warning.startswith("The nightly snapshot of the database fails. There is none yet.")
    [new] = nightly(home)
    assert home.call(startup.snapshot_warnings) == []
    age(new, 3)
    [warning] = home.call(startup.snapshot_warnings)
    assert warning.startswith("The nightly snapshot of the database fails. The newest one is from")


# What is refused


def refusal(home: Server, snapshot: Path) -> str:
    done = home.manage("restore", str(snapshot), check=False)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert query(home, "SELECT count(*) FROM auth_user") != [(0,)]
    return done.stderr


def test_a_snapshot_that_is_damaged_or_of_the_other_database_is_refused(home: Server) -> None:
    home.manage("backup", str(home.home / "mine"))
    [snapshot] = (home.home / "mine").iterdir()
    manifest = snapshot / "manifest.json"
    said = json.loads(manifest.read_text())
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[said["engine"]]

    manifest.write_text(json.dumps(said | {"engine": other}))
    assert f"This snapshot is of {other}; DATABASE_URL names {said['engine']}." in refusal(home, snapshot)
    for nonsense in (b"", b"[]", b"{}", b'{"taken_at": "yesterday"}', b"\xff"):
        manifest.write_bytes(nonsense)
        assert "is not a snapshot" in refusal(home, snapshot)
    manifest.write_text(json.dumps(said))

    database = snapshot / said["database"]
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 1
    database.write_bytes(content)
    assert "is damaged: its checksum is wrong" in refusal(home, snapshot)
    database.unlink()
    assert "is damaged" in refusal(home, snapshot)
    shutil.rmtree(snapshot)
    assert "is not a snapshot" in refusal(home, snapshot)


def test_a_missing_pg_dump_is_named(monkeypatch: pytest.MonkeyPatch, home: Server, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupFailed, match=r"pg_dump is not installed.*apt install postgresql-client"):
        run_tool("pg_dump")
    done = home.manage("backup", str(home.home / "mine"), check=False)  # SQLite's needs no program
    assert done.returncode == bool(home.database_url)
    assert ("pg_dump is not installed" in done.stderr) == bool(home.database_url)
