"""SQLite, whose connections are used again.

Every request lets its own go, so that those who stream for an hour hold none; and opening one costs more than all
that a small request asks of it. While one is kept, SQLite does not tidy up, with syncs, after the last either.
"""

import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

KEPT = 4  # those who ask at the same moment are few
# Of a process, as a child must not touch what its parent had open, not even to close it; and of a file, not a name:
# somebody may have put another in its place.
_kept: dict[tuple[int, int, int], deque[Any]] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    _others: deque[Any]

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
