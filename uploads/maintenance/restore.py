"""Replace the database by a snapshot, and compare it with the store.

The replaced database is kept beside it. The store is not changed.
"""

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection, connections

from ..models import Blob, MediaFile, SinkMark, Tombstone
from ..sinks.base import Sink
from ..sinks.local import filesystem_layout
from .backup import BackupFailed, Snapshot, run_tool, take
from .fsck import LOST, Finding, find_in_rows, find_in_sidecars

_PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
# Counts client backends only: PostgreSQL has processes of its own.
_COUNT_OTHERS = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
# The script runs in one transaction that first empties the database: all of it is restored, or nothing.
_RUN_SCRIPT = (*_PSQL, "--single-transaction", "--file=-")
_PATIENCE = 5.0  # seconds until PostgreSQL notices that a killed client is gone
_EMPTY = b"DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What exists only in the store, or only in the database."""

    newer: list[Finding]  # in the store only: `rebuild` brings them back
    missing: list[Finding]  # in the database only
    files: int


def forget_intentions() -> None:
    """Delete the tombstones and claims of the snapshot: their keys may belong to files that are newer than it.

    Without them such a key is unknown: it is restored from its sidecar, or moved into quarantine.
    """
    Tombstone.objects.all().delete()
    Blob.objects.filter(state=Blob.State.STORING).delete()


def compare(*places: Sink) -> Comparison:
    missing = [finding for place in places for finding in find_in_rows(place) if finding.defect in LOST]
    newer = [finding for place in places for finding in find_in_sidecars(place)]
    return Comparison(newer, missing, MediaFile.objects.count())


def load(snapshot: Snapshot, kept_in: Path) -> str:
    """Replace the database by the snapshot. Returns where the current one was moved to."""
    snapshot.verify()
    return _load_postgresql(snapshot, kept_in) if connection.vendor == "postgresql" else _load_sqlite(snapshot)


def _load_postgresql(snapshot: Snapshot, kept_in: Path) -> str:
    until = time.monotonic() + _PATIENCE
    while (others := _other_connections()) and time.monotonic() < until:
        time.sleep(0.1)
    if others:
        raise BackupFailed(f"The database has {others} other connections. Stop Millrace on every host first.")
    before = take(kept_in / "before-restore") if _has_tables() else None
    script = run_tool("pg_restore", "--no-owner", "--file=-", str(snapshot.database))
    _close_connections()
    run_tool(*_RUN_SCRIPT, script=_EMPTY + script)
    return f"snapshot {before.folder}" if before else "nothing: the database was empty"


def _has_tables() -> bool:
    return SinkMark._meta.db_table in connection.introspection.table_names()


def _other_connections() -> int:
    _close_connections()
    return int(run_tool(*_PSQL, "--tuples-only", f"--command={_COUNT_OTHERS}"))


def _close_connections() -> None:
    """Close all connections of this process, including those in its pool."""
    connections.close_all()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has it


def _load_sqlite(snapshot: Snapshot) -> str:
    target = Path(connection.settings_dict["NAME"])
    connections.close_all()
    half = target.with_name(f"{target.name}.half")
    half.unlink(missing_ok=True)
    filesystem_layout.copy_synced(snapshot.database, half)
    before = _move_aside(target)
    half.rename(target)
    filesystem_layout.sync_folder(target.parent)
    return before


def _move_aside(target: Path) -> str:
    """Rename the current database, together with its write-ahead log, to a name with the date."""
    if not target.exists():
        return "nothing: there was no database"
    aside = target.with_name(f"{target.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    try:
        with sqlite3.connect(target, timeout=5) as present:
            present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        present.close()
    except sqlite3.DatabaseError:  # damaged, which may be why it is replaced: its log is moved with it
        pass
    for suffix in ("", "-wal", "-shm"):
        path = target.with_name(target.name + suffix)
        if path.exists():
            path.rename(aside.with_name(aside.name + suffix))
    return str(aside)
