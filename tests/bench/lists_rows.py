"""A million files, a million jobs, and uploads, in SQL: what years of use leave behind, with a realistic skew.

Nine of ten files are films, one job of a hundred failed, `carol` has little; half of all names begin with `Clip`, and
what is taken in from disk is always film: so that filters exclude each other.
"""

import contextlib
import sqlite3
from dataclasses import dataclass

import psycopg

from tests.support.server import Server

ROWS, UPLOADS = 1_000_000, 100_000
_SECONDS_APART = 30


@dataclass(frozen=True)
class Dialect:
    numbers: str  # `i` from 1 to %d
    hex: str  # so many digits of a number
    id: str
    ago: str  # the time so many seconds ago
    false: str


_PG = Dialect(
    "generate_series(1::bigint, %d) AS numbers(i)", "lpad(to_hex(({0})::bigint), {1}, '0')", "({0})::uuid",
    "now() - make_interval(secs => {0})", "false",
)  # fmt: skip
_LITE = Dialect(
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n)",
    "printf('%0{1}x', {0})", "{0}", "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || ({0}) || ' seconds')", "0",
)  # fmt: skip

# Multiplied by odd numbers, so that ids and hashes lie about as random ones do.
_MIXED = "(i * 2654435761) % 4294967296"
_SIZE = "1 + (i * 48271) % 5000000000"
_KIND = "CASE WHEN i % 1000 < 900 THEN 'video' WHEN i % 1000 < 970 THEN 'audio' WHEN i % 1000 < 990 THEN 'image' ELSE 'subtitle' END"  # noqa: E501
_OWNER = "(SELECT id FROM auth_user WHERE username = CASE WHEN i % 50000 = 0 THEN 'carol' WHEN i % 5 < 3 THEN 'alice' ELSE 'bob' END)"  # noqa: E501
_NAME = "CASE WHEN i % 100000 = 7 THEN 'Zebra ' WHEN i % 2 = 0 THEN 'Clip ' ELSE 'scene of ' END || i || '.mp4'"
_OPERATION = "CASE WHEN i % 100 < 80 THEN 'inspect' WHEN i % 100 < 92 THEN 'thumbnail' WHEN i % 100 < 99 THEN 'transcode' ELSE 'audio' END"  # noqa: E501
_STATUS = "CASE WHEN i <= 40 THEN 'queued' WHEN i % 100 = 3 THEN 'failed' WHEN i % 100 = 5 THEN 'cancelled' ELSE 'succeeded' END"  # noqa: E501


def _tables(say: Dialect) -> dict[str, dict[str, str]]:
    identity = say.id.format(f"{say.hex.format(_MIXED, 8)} || '000040008000' || {say.hex.format('i', 12)}")
    sha256 = f"{say.hex.format('(i * 2246822519) % 4294967296', 8)} || '{'5a' * 28}'"
    then = say.ago.format(f"i * {_SECONDS_APART}")
    rows = {"id": identity, "created_at": then}
    return {
        "uploads_blob": rows | {
            "sink": "'local'", "key": f"{say.hex.format('i', 32)}", "sha256": sha256, "size": _SIZE,
            "state": "'stored'", "kind": _KIND, "media_type": "'video/mp4'", "facts": "NULL",
        },
        "uploads_mediafile": rows | {
            "owner_id": _OWNER, "name": _NAME, "blob_id": identity, "kind": _KIND, "size": _SIZE, "link_epoch": "0",
            "has_facts": say.false, "indexed_at": then,
            "origin": "CASE WHEN i % 1000 < 5 THEN 'ingest' WHEN i % 10 < 3 THEN 'job' ELSE 'upload' END",
        },
        "uploads_upload": rows | {
            "owner_id": _OWNER, "name": _NAME, "sink": "'local'", "reserved": "0", "speed": "0", "error_detail": "''",
            "protocol": "CASE WHEN i % 10 < 8 THEN 'tus' WHEN i % 10 < 9 THEN 'form' ELSE 'put' END",
            "state": "CASE WHEN i % 100 = 3 THEN 'failed' ELSE 'complete' END", "declared_size": _SIZE,
            "offset": _SIZE, "error_code": "CASE WHEN i % 100 = 3 THEN 'too_slow' ELSE '' END",
            "idempotency_key": "''", "route": "''", "fingerprint": "''", "heartbeat_at": "NULL", "finished_at": then,
            "file_id": "NULL", "key": "''", "metadata": "''", "expires_at": "NULL", "unverified_from": "NULL",
            "stop_asked": say.false,
        },
        "media_jobs_job": rows | {
            "owner_id": _OWNER, "operation": _OPERATION, "version": "1", "params": "'{}'", "file_id": identity,
            "upload_id": "NULL", "automatic": say.false, "priority": "0", "status": _STATUS, "not_before": "NULL",
            "lane": f"CASE WHEN {_OPERATION} IN ('transcode', 'audio') THEN 'heavy' ELSE 'quick' END",
            "attempts": "0",
            "cache_key": "''", "leader_id": "NULL", "cached": say.false, "worker_id": "NULL", "token": "NULL",
            "lease_until": "NULL", "cancel_asked": say.false, "outputs": "0", "phase": "''",
            "progress": f"CASE WHEN {_STATUS} = 'succeeded' THEN 1 ELSE 0 END", "message": "''", "speed": "NULL",
            "eta_seconds": "NULL", "error_code": f"CASE WHEN {_STATUS} = 'failed' THEN 'timeout' ELSE '' END",
            "error_detail": "''", "command": "''", "log": "''", "build": "''", "idempotency_key": "''",
            "fingerprint": "''", "queued_at": then, "started_at": "NULL",
            "finished_at": f"CASE WHEN i <= 40 THEN NULL ELSE {then} END",
        },
    }  # fmt: skip


def statements(say: Dialect, rows: int, uploads: int) -> list[str]:
    found = []
    for table, columns in _tables(say).items():
        names = ", ".join(f'"{name}"' for name in columns)
        numbers = say.numbers % (uploads if table == "uploads_upload" else rows)
        found.append(f'INSERT INTO "{table}" ({names}) SELECT {", ".join(columns.values())} FROM {numbers}')  # noqa: S608  # ours, all of it
    return found


def fill(server: Server, rows: int = ROWS, uploads: int = UPLOADS) -> None:
    """And tell the planner, as autovacuum and our housekeeping do. Indexes are made last, which is faster."""
    tables = ", ".join(f"'{table}'" for table in _tables(_PG))
    if server.database_url:
        with psycopg.connect(server.database_url, autocommit=True) as pg:
            pg.execute("SET session_replication_role = replica")  # foreign keys are right, and not looked up
            kept = pg.execute(
                f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ({tables}) AND indexname NOT IN "  # noqa: S608
                "(SELECT conname FROM pg_constraint)"
            ).fetchall()
            for statement in _around(kept, statements(_PG, rows, uploads)):
                pg.execute(statement)
            pg.execute("VACUUM ANALYZE")
        return
    [database] = server.home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as lite:
        lite.execute("PRAGMA synchronous = OFF")
        lite.execute("PRAGMA cache_size = -1000000")
        kept = lite.execute(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL AND tbl_name IN ({tables})"  # noqa: S608
        ).fetchall()
        for statement in _around(kept, statements(_LITE, rows, uploads)):
            lite.execute(statement)
        lite.execute("PRAGMA analysis_limit = 1000")
        lite.execute("ANALYZE")
        lite.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _around(indexes: list[tuple[str, str]], inserts: list[str]) -> list[str]:
    return [*(f'DROP INDEX "{name}"' for name, _ in indexes), *inserts, *(made for _, made in indexes)]
