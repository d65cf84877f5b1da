"""Progress of the uploads this process holds, written by one thread in one transaction every half second."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.db import connection

from .connections import write
from .metrics import ACTIVE

INTERVAL = 0.5
# How much a new measurement of speed counts against the earlier ones.
_WEIGHT = 0.3

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watched:
    offset: Callable[[], int]
    seen: int
    at: float
    speed: float = 0.0

    def measure(self, now: float) -> None:
        offset, passed = self.offset(), max(now - self.at, 1e-3)
        latest = (offset - self.seen) / passed
        self.speed = latest if not self.speed else self.speed + _WEIGHT * (latest - self.speed)
        self.seen, self.at = offset, now


class Flusher:
    """A failed write of progress is logged and forgotten: it never fails an upload."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[uuid.UUID, _Watched] = {}
        self._thread: threading.Thread | None = None

    def watch(self, upload_id: uuid.UUID, offset: Callable[[], int]) -> None:
        with self._lock:
            self._watched[upload_id] = _Watched(offset, 0, time.monotonic())
            ACTIVE.set(len(self._watched))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()

    def unwatch(self, upload_id: uuid.UUID) -> None:
        with self._lock:
            self._watched.pop(upload_id, None)
            ACTIVE.set(len(self._watched))

    def _run(self) -> None:
        try:
            while self._has_work():
                time.sleep(INTERVAL)
                self.flush()
        finally:
            connection.close()

    def _has_work(self) -> bool:
        with self._lock:
            if not self._watched:
                self._thread = None  # under the lock: whoever watches next starts another
            return self._thread is not None

    def flush(self) -> None:
        with self._lock:
            watched = dict(self._watched)
        now = time.monotonic()
        for item in watched.values():
            item.measure(now)
        try:
            _write([(item.seen, int(item.speed), upload_id) for upload_id, item in sorted(watched.items())])
        except Exception:  # whatever it is: without this thread every upload would soon look abandoned
            log.warning("progress_not_written", uploads=len(watched), exc_info=True)
            connection.close()


# By hand: through the ORM, a thousand uploads hold up every request for 100 ms.
_UPDATE_EACH = """
    UPDATE uploads_upload SET "offset" = %s, speed = %s, heartbeat_at = STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')
    WHERE id = %s AND state = 'receiving'
"""
# psycopg, told of each by itself, would keep the interpreter busy for 30 ms.
_UPDATE_ALL = """
    UPDATE uploads_upload SET "offset" = news.at, speed = news.speed, heartbeat_at = STATEMENT_TIMESTAMP()
    FROM json_to_recordset(%s) AS news(id uuid, at bigint, speed bigint)
    WHERE uploads_upload.id = news.id AND state = 'receiving'
"""


def _write(progress: list[tuple[int, int, uuid.UUID]]) -> None:
    with write(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            news = [{"id": str(upload_id), "at": at, "speed": speed} for at, speed, upload_id in progress]
            cursor.execute(_UPDATE_ALL, [json.dumps(news)])
        else:  # SQLite, which has each in no time, and all at once only by a plan that may go wrong
            cursor.executemany(_UPDATE_EACH, [(at, speed, upload_id.hex) for at, speed, upload_id in progress])


flusher = Flusher()
