"""SQLite, whose connections are used again.

Every request lets its own go, so that those who stream for an hour hold none; and opening one costs more than all
that a small request asks of it. While one is kept, SQLite does not tidy up, with syncs, after the last either.
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

KEPT = 4  # those who ask at the same moment are few
# Of a process, as a child must not touch what its parent had open, not even to close it; and of a file, not a name:
# somebody may have put another in its place.
_kept: dict[tuple[int, int, int], deque[Any]] = {}


class _Errors(DatabaseErrorWrapper):
    """Django's translation of errors. The error of a full disk also releases the first half of the ballast.

    The next try then succeeds: that of a heartbeat, of somebody who signs in.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.OperationalError) and _tells_of_full_disk(error):
            ballast().release()
        super().__exit__(kind, error, traceback)


def _tells_of_full_disk(error: sqlite3.OperationalError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # of which kind; the rest says of which call
    return code == sqlite3.SQLITE_FULL or (
        code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and ballast().is_low
    )


class DatabaseWrapper(base.DatabaseWrapper):
    _others: deque[Any]

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _Errors(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._others = self._kept_here()
        with suppress(IndexError):
            return self._others.pop()
        found = super().get_new_connection(conn_params)
        self._others = self._kept_here()  # there may have been no file before
        return found

    def _close(self) -> None:
        if self.errors_occurred or self.connection.in_transaction or len(self._others) >= KEPT:
            super()._close()  # type: ignore[misc]  # the stubs have it not
        else:
            self._others.append(self.connection)

    def _kept_here(self) -> deque[Any]:
        try:
            file = Path(self.settings_dict["NAME"]).stat()
        except OSError:
            return deque()
        return _kept.setdefault((os.getpid(), file.st_dev, file.st_ino), deque())
