"""Database connections are few, and requests are many: whoever waits for another waits without one."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg

from config.backends.sqlite3.base import MAX_KEPT
from tests.support.processes import sqlite_connections
from tests.support.running_servers import StartServer
from tests.support.server import Server, query

UPLOADS = 32
TURNS = 16  # at writing to a database server, as in uploads.runtime.database_connections


@contextmanager
def nobody_writes(server: Server) -> Iterator[None]:
    if server.database_url:
        with psycopg.connect(server.database_url) as database:
            database.execute("LOCK TABLE uploads_upload IN EXCLUSIVE MODE")
            yield
        return
    with closing(sqlite3.connect(server.home / "millrace.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def connections_in_use(server: Server) -> int:
    if not server.database_url:
        return sqlite_connections(server.pid)
    # Not those that the pool keeps for the next: who came first may have opened more than they need now.
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
    return int(query(server, busy)[0][0])


def test_uploads_that_wait_to_write_hold_no_connections(start_server: StartServer, clip: bytes) -> None:
    server = start_server(THREADS="64", MAX_UPLOADS_PER_USER="100")
    few = TURNS + 8 if server.database_url else MAX_KEPT + 4  # and we two, housekeeping, what keeps progress …
    with ThreadPoolExecutor(UPLOADS) as clients:
        with nobody_writes(server):
            answers = [clients.submit(server.put, f"{number}.mp4", clip) for number in range(UPLOADS)]
            time.sleep(1)  # by now they wait
            until = time.monotonic() + 10
            while (held := connections_in_use(server)) > few and time.monotonic() < until:
                time.sleep(0.1)
            assert not any(answer.done() for answer in answers)
        assert {answer.result().status for answer in answers} <= {200, 201}
    assert held <= few
