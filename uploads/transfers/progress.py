"""Progress of the uploads this process holds, written by one thread in one transaction at short intervals."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import connection

from ..conf import limits
from ..models import Upload
from ..runtime.database_connections import let_go, write
from ..runtime.essential_threads import start_essential
from ..runtime.request_context import current_request_id
from .upload_counters import ACTIVE

# An upload that comes in pieces is at rest when it was left for this long.
REST = 1.0
# How much a new measurement of speed counts against the earlier ones.
_WEIGHT = 0.3
# At least this between two lines of the log about one upload: seconds, and a share of its size.
_LINE_PAUSE = 60.0
_LINE_STEP = 0.1
_MEGABYTE = 1e6

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ProgressLines:
    """When the next line about an upload is due: when a tenth of it has come and a minute has passed since the last.

    One of unknown size has a line a minute.
    """

    upload_id: uuid.UUID
    size: int | None
    request_id: str  # of the request that sends, as another thread writes the line
    offset: int
    at: float

    def log_if_due(self, offset: int, now: float, speed: float) -> None:
        if now - self.at < _LINE_PAUSE or (self.size and offset - self.offset < _LINE_STEP * self.size):
            return
        self.offset, self.at = offset, now
        percent = round(100 * offset / self.size) if self.size else None
        log.info(
            "upload_progress", upload=str(self.upload_id), offset=offset, size=self.size, percent=percent,
            megabytes_per_second=round(speed / _MEGABYTE, 2), request_id=self.request_id or None,
        )  # fmt: skip


@dataclass(slots=True)
class _Watched:
    offset: Callable[[], int]
    seen: int
    at: float
    stop: Callable[[], None] | None
    lines: ProgressLines
    speed: float = 0.0
    left_at: float | None = None  # since when nobody holds it
    expires_at: datetime | None = None  # if that has changed
    is_at_rest: bool = False

    def measure(self, now: float) -> None:
        offset, passed = self.offset(), max(now - self.at, 1e-3)
        latest = (offset - self.seen) / passed
        self.speed = latest if not self.speed else self.speed + _WEIGHT * (latest - self.speed)
        self.seen, self.at = offset, now
        if self.left_at is None:
            self.lines.log_if_due(offset, now, self.speed)
        if self.left_at is not None and now - self.left_at >= REST:
            self.speed, self.is_at_rest = 0.0, True


class Flusher:
    """A failed write of progress is logged and forgotten: it never fails an upload."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[uuid.UUID, _Watched] = {}
        self._thread: threading.Thread | None = None

    def watch(
        self,
        upload_id: uuid.UUID,
        offset: Callable[[], int],
        stop: Callable[[], None] | None = None,
        size: int | None = None,
    ) -> int:
        """`stop` is called when another request asks for this upload, here or in another process.

        Returns how many bytes a second came in the requests before this one, if there were some just now.
        """
        with self._lock:
            if self._thread is None:
                self._thread = start_essential("progress", self._run)
            before = self._watched.get(upload_id)
            seen, now = offset(), time.monotonic()
            item = _Watched(offset, seen, now, stop, ProgressLines(upload_id, size, current_request_id(), seen, now))
            speed = 0.0
            if before is not None:  # it comes in pieces: its speed is that of them all
                speed = before.speed or (item.seen - before.seen) / max(item.at - before.at, 1e-3)
                item.seen, item.at, item.speed = before.seen, before.at, before.speed
                item.lines.offset, item.lines.at = before.lines.offset, before.lines.at
            self._watched[upload_id] = item
            self._changed()
            return int(speed)

    def unwatch(self, upload_id: uuid.UUID) -> None:
        with self._lock:
            self._watched.pop(upload_id, None)
            self._changed()

    def leave(self, upload_id: uuid.UUID, offset: int, expires_at: datetime | None) -> None:
        """Nobody holds it just now. Write that down with the others: the next piece may come at once."""
        with self._lock:
            if (item := self._watched.get(upload_id)) is not None:
                item.offset, item.stop = lambda: offset, None
                item.left_at, item.expires_at = time.monotonic(), expires_at
            self._changed()

    def _changed(self) -> None:
        ACTIVE.set(sum(item.left_at is None for item in self._watched.values()))

    def is_held(self, upload_id: uuid.UUID) -> bool:
        """Whether a request of this process holds an upload."""
        with self._lock:
            item = self._watched.get(upload_id)
            return item is not None and item.left_at is None

    def stop(self, upload_id: uuid.UUID) -> bool:
        """Ask the request that holds an upload to let go. False where no request of this process holds it."""
        with self._lock:
            watched = self._watched.get(upload_id)
        if watched is None or watched.stop is None:
            return False
        watched.stop()
        return True

    def _run(self) -> None:
        while self._has_work():
            time.sleep(limits().progress_interval)
            self.flush()
        let_go()

    def _has_work(self) -> bool:
        with self._lock:
            if not self._watched:
                self._thread = None  # under the lock: whoever watches next starts another
            return self._thread is not None

    def flush(self) -> None:
        with self._lock:
            watched = dict(self._watched)
        try:
            now = time.monotonic()
            for item in watched.values():
                item.measure(now)
            _write([(upload_id, item) for upload_id, item in sorted(watched.items(), key=lambda pair: pair[0])])
            for upload_id in _asked_to_stop([upload_id for upload_id, item in watched.items() if item.stop]):
                self.stop(upload_id)
        except Exception:  # whatever it is: without this thread every upload would soon look abandoned
            log.warning("progress_not_written", uploads=len(watched), exc_info=True)
            connection.close()
        for upload_id, item in watched.items():
            if item.is_at_rest:
                with self._lock:
                    if self._watched.get(upload_id) is item:
                        del self._watched[upload_id]


def _asked_to_stop(uploads: list[uuid.UUID]) -> list[uuid.UUID]:
    return (
        list(Upload.objects.filter(pk__in=uploads, stop_asked=True).values_list("pk", flat=True)) if uploads else []
    )


# By hand: through the ORM, a thousand uploads hold up every request for 100 ms.
_UPDATE_EACH = """
    UPDATE uploads_upload SET "offset" = %s, speed = %s, expires_at = COALESCE(%s, expires_at),
        heartbeat_at = CASE WHEN %s THEN NULL ELSE STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW') END,
        paused_at = CASE WHEN %s THEN STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW') ELSE paused_at END
    WHERE id = %s AND state = 'receiving'
"""
# psycopg, told of each by itself, would keep the interpreter busy for 30 ms.
_UPDATE_ALL = """
    UPDATE uploads_upload SET "offset" = news.at, speed = news.speed,
        expires_at = COALESCE(news.expires_at, uploads_upload.expires_at),
        heartbeat_at = CASE WHEN news.rests THEN NULL ELSE STATEMENT_TIMESTAMP() END,
        paused_at = CASE WHEN news.rests THEN STATEMENT_TIMESTAMP() ELSE paused_at END
    FROM json_to_recordset(%s) AS news(id uuid, at bigint, speed bigint, rests boolean, expires_at timestamptz)
    WHERE uploads_upload.id = news.id AND state = 'receiving'
"""


def _write(progress: list[tuple[uuid.UUID, _Watched]]) -> None:
    with write(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            news = [
                {"id": str(upload_id), "at": item.seen, "speed": int(item.speed), "rests": item.is_at_rest,
                 "expires_at": item.expires_at and item.expires_at.isoformat()}
                for upload_id, item in progress
            ]  # fmt: skip
            cursor.execute(_UPDATE_ALL, [json.dumps(news)])
        else:  # SQLite, which has each in no time, and all at once only by a plan that may go wrong
            adapted = connection.ops.adapt_datetimefield_value
            cursor.executemany(
                _UPDATE_EACH,
                [
                    (
                        item.seen,
                        int(item.speed),
                        adapted(item.expires_at),
                        item.is_at_rest,
                        item.is_at_rest,
                        upload_id.hex,
                    )
                    for upload_id, item in progress
                ],
            )


flusher = Flusher()
