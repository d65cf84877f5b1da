"""Django's SQLite backend with reused connections, and a ballast file for full disks.

A request releases its connection while it streams, and opening a connection takes longer than the queries of a small
request. So a connection that Django closes stays open here, and is used again by the next request. This also saves
work in SQLite, which checkpoints and syncs its log when the last connection of a process is closed.
"""

import os
import sqlite3
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property

from uploads.runtime.ballast_file import ballast

MAX_KEPT = 4  # few requests use the database at the same moment
# By process, because a child process must not use or close its parent's connections; and by the file's device and
# inode, because a restore puts another file in its place.
_kept: dict[tuple[int, int, int], deque[Any]] = {}


class _Errors(DatabaseErrorWrapper):
    """Django's translation of errors. The error of a full disk also releases the first half of the ballast file.

    The next write then succeeds, for example that of a heartbeat or a login.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.OperationalError) and _means_full_disk(error):
            ballast().release()
        super().__exit__(kind, error, traceback)


def _means_full_disk(error: sqlite3.OperationalError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code, without the details
    return code == sqlite3.SQLITE_FULL or (
        code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and ballast().is_low
    )


class DatabaseWrapper(base.DatabaseWrapper):
    _kept: deque[Any]

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _Errors(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._kept = self._kept_connections()
        with suppress(IndexError):
            return self._kept.pop()
        found = super().get_new_connection(conn_params)
        self._kept = self._kept_connections()  # connecting may have created the file
        return found

    def _close(self) -> None:
        if self.errors_occurred or self.connection.in_transaction or len(self._kept) >= MAX_KEPT:
            super()._close()  # type: ignore[misc]  # missing in the type stubs
        else:
            self._kept.append(self.connection)

    def _kept_connections(self) -> deque[Any]:
        try:
            file = Path(self.settings_dict["NAME"]).stat()
        except OSError:
            return deque()
        return _kept.setdefault((os.getpid(), file.st_dev, file.st_ino), deque())
