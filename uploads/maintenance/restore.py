"""Put a snapshot in the place of the database, and compare it with the store.

What was in its place stays beside it. Nothing in the store is touched.
"""

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection, connections

from ..models import Blob, MediaFile, SinkMark, Tombstone
from ..sinks.base import Sink
from ..sinks.local import filesystem
from .backup import BackupFailed, Snapshot, run_tool, take
from .fsck import LOST, Finding, find_in_rows, find_in_sidecars

_PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
# Those of PostgreSQL itself, which tidies up, are no client backends.
_OTHERS = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND backend_type = 'client backend'"""
# The script is run in one transaction, which begins by emptying the database: all of it, or nothing.
_RUN_SCRIPT = (*_PSQL, "--single-transaction", "--file=-")
_PATIENCE = 5.0  # seconds until PostgreSQL has noticed that a process which was killed is gone
_EMPTY = b"DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What stands on one side only."""

    newer: list[Finding]  # in the store, unknown to the database: `rebuild` brings them back
    missing: list[Finding]  # in the database, and not in the store
    files: int


def forget_intentions() -> None:
    """What the snapshot was about to delete may have become somebody's file after it was taken.

    Without its tombstone or claim such a key is only unknown: a sidecar brings it back, else it goes into quarantine.
    """
    Tombstone.objects.all().delete()
    Blob.objects.filter(state=Blob.State.STORING).delete()


def compare(place: Sink) -> Comparison:
    missing = [finding for finding in find_in_rows(place) if finding.defect in LOST]
    return Comparison(list(find_in_sidecars(place)), missing, MediaFile.objects.count())


def load(snapshot: Snapshot, kept_in: Path) -> str:
    """Replace the database by the snapshot. Says where the present one was put."""
    snapshot.verify()
    return _load_postgresql(snapshot, kept_in) if connection.vendor == "postgresql" else _load_sqlite(snapshot)


def _load_postgresql(snapshot: Snapshot, kept_in: Path) -> str:
    until = time.monotonic() + _PATIENCE
    while (others := _other_connections()) and time.monotonic() < until:
        time.sleep(0.1)
    if others:
        raise BackupFailed(f"{others} other connections use this database. Stop Millrace on every host first.")
    before = take(kept_in / "before-restore") if _has_tables() else None
    script = run_tool("pg_restore", "--no-owner", "--file=-", str(snapshot.database))
    _hang_up()
    run_tool(*_RUN_SCRIPT, script=_EMPTY + script)
    return f"snapshot {before.folder}" if before else "nothing: the database was empty"


def _has_tables() -> bool:
    return SinkMark._meta.db_table in connection.introspection.table_names()


def _other_connections() -> int:
    _hang_up()
    return int(run_tool(*_PSQL, "--tuples-only", f"--command={_OTHERS}"))


def _hang_up() -> None:
    """End all connections of this process, also those that wait in its pool."""
    connections.close_all()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has it


def _load_sqlite(snapshot: Snapshot) -> str:
    target = Path(connection.settings_dict["NAME"])
    connections.close_all()
    half = target.with_name(f"{target.name}.half")
    half.unlink(missing_ok=True)
    filesystem.copy_synced(snapshot.database, half)
    before = _move_aside(target)
    half.rename(target)
    filesystem.sync_folder(target.parent)
    return before


def _move_aside(target: Path) -> str:
    """The present database, with what its log still holds, under a name with the date."""
    if not target.exists():
        return "nothing: there was no database"
    aside = target.with_name(f"{target.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    try:
        with sqlite3.connect(target, timeout=5) as present:
            present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        present.close()
    except sqlite3.DatabaseError:  # it is damaged, which may be why it is replaced: its log goes with it
        pass
    for suffix in ("", "-wal", "-shm"):
        path = target.with_name(target.name + suffix)
        if path.exists():
            path.rename(aside.with_name(aside.name + suffix))
    return str(aside)
