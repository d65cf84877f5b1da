"""Snapshots of the database, taken while the service runs. They do not contain the stored files.

A snapshot is a folder `millrace-DATE/` with the database, a manifest, and other files that a new installation needs.
It gets this name when it is complete and synced to the disk.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from ..models import MediaFile, SinkMark
from ..sinks.local import filesystem_layout

_PREFIX, _STAMP, _HALF = "millrace-", "%Y%m%dT%H%M%SZ", ".half"
_MANIFEST = "manifest.json"
_FILES = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}
_PIECE = 1024**2
_STALE = timedelta(days=2)


class BackupFailed(Exception):
    """A backup or restore failed. The message is shown to the administrator."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    folder: Path
    taken_at: datetime

    @classmethod
    def at(cls, folder: Path) -> "Snapshot":
        manifest = _read_manifest(folder)
        return cls(folder, datetime.fromisoformat(manifest["taken_at"]))

    @property
    def manifest(self) -> dict[str, Any]:
        return _read_manifest(self.folder)

    @property
    def database(self) -> Path:
        return self.folder / str(self.manifest["database"])

    def verify(self) -> None:
        """Check that its database is undamaged and of the engine that is used here."""
        if self.manifest["engine"] != connection.vendor:
            raise BackupFailed(
                f"This snapshot is of {self.manifest['engine']}; DATABASE_URL names {connection.vendor}."
            )
        if not self.database.is_file() or _sha256(self.database) != self.manifest["sha256"]:
            raise BackupFailed(f"{self.database} is damaged: its checksum is wrong. Choose another snapshot.")


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        datetime.fromisoformat(found["taken_at"])
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupFailed(f"{folder} is not a snapshot: it has no readable {_MANIFEST}.") from error


def take(into: Path, also: Sequence[Path] = ()) -> Snapshot:
    """Take a snapshot in a new folder below `into`, with copies of the files `also`."""
    now = datetime.now(UTC)
    name = _PREFIX + now.strftime(_STAMP)
    half = into / (name + _HALF)
    try:
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        half.mkdir(mode=0o700)
    except OSError as error:
        raise BackupFailed(f"The snapshot could not be written to {into}: {error}") from error
    try:
        database = half / _FILES[connection.vendor]
        _dump(database)
        for path in also:
            filesystem_layout.write_synced(half / path.name, path.read_bytes())
        filesystem_layout.write_synced(half / _MANIFEST, json.dumps(_describe(now, database), indent=1).encode())
        filesystem_layout.sync_folder(half)
        half.rename(into / name)
        filesystem_layout.sync_folder(into)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"The snapshot could not be written to {into}: {error}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return Snapshot(into / name, now)


def _describe(now: datetime, database: Path) -> dict[str, Any]:
    mark = SinkMark.objects.first()
    return {
        "version": 1, "taken_at": now.isoformat(), "engine": connection.vendor, "database": database.name,
        "sha256": _sha256(database), "size": database.stat().st_size, "files": MediaFile.objects.count(),
        "store": str(mark.identity) if mark else None,
    }  # fmt: skip


def _dump(target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if connection.vendor == "postgresql":
        run_tool("pg_dump", "--format=custom", "--no-owner", f"--file={target}")
    else:
        _dump_sqlite(target)
    with target.open("rb") as written:
        os.fsync(written.fileno())


def _dump_sqlite(target: Path) -> None:
    connection.ensure_connection()
    copy = sqlite3.connect(target)
    try:
        # In one step: readers do not block writers. In several steps, each write would restart the backup.
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # everything in this one file
        if (result := copy.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BackupFailed(f"SQLite reports that the database is damaged: {result}")
    finally:
        copy.close()


def run_tool(program: str, *arguments: str, script: bytes | None = None) -> bytes:
    """Run one of PostgreSQL's programs on our database."""
    path = shutil.which(program)
    if path is None:
        raise BackupFailed(
            f"{program} is not installed. It comes with PostgreSQL (Debian: apt install postgresql-client)."
        )
    environment = os.environ | _connection_environment()
    ended = subprocess.run([path, *arguments], env=environment, input=script, capture_output=True, check=False)  # noqa: S603
    if ended.returncode:
        raise BackupFailed(f"{program} failed: {ended.stderr.decode(errors='replace').strip()[:1000]}")
    return ended.stdout


def _connection_environment() -> dict[str, str]:
    found, options = connection.settings_dict, connection.settings_dict["OPTIONS"]
    names = {
        "PGHOST": found["HOST"], "PGPORT": found["PORT"], "PGUSER": found["USER"], "PGPASSWORD": found["PASSWORD"],
        "PGDATABASE": found["NAME"], "PGSSLMODE": options.get("sslmode"), "PGSSLROOTCERT": options.get("sslrootcert"),
    }  # fmt: skip
    return {name: str(value) for name, value in names.items() if value}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def snapshots(folder: Path) -> list[Snapshot]:
    """The complete snapshots in this folder, newest first."""
    found = []
    for path in folder.glob(f"{_PREFIX}*") if folder.is_dir() else ():
        if not path.name.endswith(_HALF):
            with suppress(BackupFailed):  # a damaged snapshot must not prevent the next one
                found.append(Snapshot.at(path))
    return sorted(found, key=lambda snapshot: snapshot.taken_at, reverse=True)


def take_nightly(folder: Path, kept: int, every: timedelta, also: Sequence[Path] = ()) -> int:
    """Take a snapshot if the last one is older than `every`. Keep the `kept` newest ones."""
    ages = [datetime.now(UTC) - snapshot.taken_at for snapshot in snapshots(folder)]
    # A snapshot from the future was taken while the clock was wrong. It must not delay the next one.
    if kept == 0 or any(timedelta(0) <= age < every for age in ages):
        return 0
    for half in folder.glob(f"{_PREFIX}*{_HALF}"):  # a crash left it
        shutil.rmtree(half)
    take(folder, also)
    for old in snapshots(folder)[kept:]:
        shutil.rmtree(old.folder)
    return 1


def trouble(newest_at: datetime | None) -> str:
    """What is wrong with the nightly snapshots, of which the newest was taken then; "" if nothing."""
    since = newest_at or _first_account()
    if since is None or datetime.now(UTC) - since < _STALE:
        return ""
    newest = f"The newest one is from {since:%Y-%m-%d}." if newest_at else "There is none yet."
    return f"The nightly snapshot of the database fails. {newest} See the log of housekeeping for the reason."


def _first_account() -> datetime | None:
    return User.objects.order_by("pk").values_list("date_joined", flat=True).first()
