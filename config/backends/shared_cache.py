"""A cache that the web processes of one server share, if no Redis is configured: an SQLite file in memory.

It counts failed logins and throttled requests. Django's own caches without a server do not count exactly: those in
files and in the database read a number and write it again, and between the two other processes do the same.
"""

import fcntl
import os
import pickle
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from config.processes import shared_folder
from config.processes.file_locks import open_lock, try_lock

_TIMEOUT = 0.25  # seconds to wait for another process; after that, the fallback cache counts
_PAUSE = 0.0005
_CULL_EVERY = 1000  # writes of this process
_TABLE = """PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
    CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value, expires REAL);"""
_SET = """INSERT INTO entries VALUES (:key, :value, :expires)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires"""
_ADD = f"{_SET} WHERE expires <= :now"
_LIVE = "WHERE key = :key AND (expires IS NULL OR expires > :now)"
_GET, _DELETE = f"SELECT value FROM entries {_LIVE}", f"DELETE FROM entries {_LIVE}"  # noqa: S608  # our own text
_TOUCH = f"UPDATE entries SET expires = :expires {_LIVE}"  # noqa: S608
_DELETE_OLDEST = """DELETE FROM entries WHERE rowid IN
    (SELECT rowid FROM entries ORDER BY rowid LIMIT max(0, (SELECT count(*) FROM entries) - ?))"""


class _Connection:
    """The connection of this process, which one thread of all processes uses at a time, for microseconds.

    SQLite's own locks are not enough: it waits so long between its attempts to get them that some waited for ever.
    """

    def __init__(self) -> None:
        self._threads = threading.Lock()
        self._pid, self._lock = 0, -1
        self.writes = 0
        self._open: sqlite3.Connection | None = None

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        with self._threads:
            if self._pid != os.getpid():  # a child must not use its parent's connection
                self._lock, self._open, self._pid = open_lock(_folder() / "cache.lock"), None, os.getpid()
            _wait_for(self._lock)
            try:
                if self._open is None:
                    self._open = _connect()
                yield self._open
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)


def _folder() -> Path:
    folder = shared_folder.path()
    if folder is None:
        raise RuntimeError("Only the web processes of a server share this cache.")
    return folder


def _connect() -> sqlite3.Connection:
    made = sqlite3.connect(_folder() / "cache.sqlite3", isolation_level=None, check_same_thread=False)
    made.executescript(_TABLE)
    return made


def _wait_for(lock: int) -> None:
    until = time.monotonic() + _TIMEOUT
    while not try_lock(lock, fcntl.LOCK_EX):
        if time.monotonic() > until:
            raise TimeoutError("Another web process has kept the cache locked.")
        time.sleep(_PAUSE)


_connection = _Connection()


class SharedCache(BaseCache):
    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._write(_ADD, key, version, timeout, value=_stored(value)) > 0

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._write(_SET, key, version, timeout, value=_stored(value))

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._write(_TOUCH, key, version, timeout) > 0

    def delete(self, key: str, version: int | None = None) -> bool:
        return self._write(_DELETE, key, version) > 0

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        with _connection.exclusive() as connection:
            found = self._read(connection, self._key(key, version))
        return default if found is None else _loaded(found)

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Raises ValueError if there is no such number."""
        named = self._key(key, version)
        with _connection.exclusive() as connection:
            found = self._read(connection, named)
            if not isinstance(found, int):
                raise ValueError(f"There is no number “{key}” in the cache.")
            connection.execute("UPDATE entries SET value = ? WHERE key = ?", [found + delta, named])
        return found + delta

    def clear(self) -> None:
        with _connection.exclusive() as connection:
            connection.execute("DELETE FROM entries")

    def _key(self, key: str, version: int | None) -> str:
        named: str = self.make_and_validate_key(key, version=version)
        return named

    @staticmethod
    def _read(connection: sqlite3.Connection, key: str) -> Any:
        row = connection.execute(_GET, {"key": key, "now": time.time()})
        return next(row, (None,))[0]

    def _write(self, statement: str, key: str, version: int | None, timeout: Any = None, **values: Any) -> int:
        """Returns how many rows were changed."""
        expires = self.get_backend_timeout(timeout)
        values |= {"key": self._key(key, version), "expires": expires, "now": time.time()}
        with _connection.exclusive() as connection:
            changed = connection.execute(statement, values).rowcount
            self._cull(connection)
        return changed

    def _cull(self, connection: sqlite3.Connection) -> None:
        """Now and then, delete what has expired and, if there are still too many entries, the oldest."""
        _connection.writes += 1
        if _connection.writes % _CULL_EVERY == 0:
            connection.execute("DELETE FROM entries WHERE expires <= ?", [time.time()])
            connection.execute(_DELETE_OLDEST, [self._max_entries])


def _stored(value: Any) -> int | bytes:
    """Numbers as such, so that they can be counted up; anything else pickled."""
    return value if type(value) is int else pickle.dumps(value)


def _loaded(value: int | bytes) -> Any:
    return pickle.loads(value) if isinstance(value, bytes) else value  # noqa: S301  # our own, in a private folder
