"""Write the progress of all uploads of this process, from one thread in one transaction, every half second."""

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
from ..hooks import UploadProgress, upload_progress
from ..models import Upload
from ..runtime.database_connections import release_connection, write
from ..runtime.essential_threads import start_essential
from ..runtime.request_context import current_request_id
from .upload_counters import ACTIVE

# A resumable upload counts as paused when no request has sent it for this long, in seconds.
PAUSED_AFTER = 1.0
# Weight of a new measurement of speed against the earlier ones.
_WEIGHT = 0.3
# Minimum distance of two log lines about one upload: seconds, and share of its size.
_LINE_PAUSE = 60.0
_LINE_STEP = 0.1
_MEGABYTE = 1e6

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ProgressLines:
    """Logs the progress of a long upload: a line per tenth of its size, but at most one per minute.

    An upload of unknown size has one line per minute.
    """

    upload_id: uuid.UUID
    size: int | None
    request_id: str  # of the request that sends: another thread writes the line
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
    left_at: float | None = None  # when its last request ended; None: a request is sending
    expires_at: datetime | None = None  # set if it has changed
    is_paused: bool = False

    def measure(self, now: float) -> None:
        offset, passed = self.offset(), max(now - self.at, 1e-3)
        latest = (offset - self.seen) / passed
        self.speed = latest if not self.speed else self.speed + _WEIGHT * (latest - self.speed)
        self.seen, self.at = offset, now
        if self.left_at is None:
            self.lines.log_if_due(offset, now, self.speed)
        if self.left_at is not None and now - self.left_at >= PAUSED_AFTER:
            self.speed, self.is_paused = 0.0, True


class Flusher:
    """Watches the uploads of this process and writes their progress. A failed write never fails an upload."""

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
        """Start to report an upload. `stop` is called when another request asks for it, here or in another process.

        Returns the speed of the requests directly before this one, in bytes per second; 0 if there were none.
        """
        with self._lock:
            if self._thread is None:
                self._thread = start_essential("progress", self._run)
            before = self._watched.get(upload_id)
            seen, now = offset(), time.monotonic()
            item = _Watched(offset, seen, now, stop, ProgressLines(upload_id, size, current_request_id(), seen, now))
            speed = 0.0
            if before is not None:  # several requests in a row: measure their speed together
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
        """The request has ended. Write that with the next flush, as the next request may follow at once."""
        with self._lock:
            if (item := self._watched.get(upload_id)) is not None:
                item.offset, item.stop = lambda: offset, None
                item.left_at, item.expires_at = time.monotonic(), expires_at
            self._changed()

    def _changed(self) -> None:
        ACTIVE.set(sum(item.left_at is None for item in self._watched.values()))

    def is_held(self, upload_id: uuid.UUID) -> bool:
        """Whether a request of this process is sending an upload."""
        with self._lock:
            item = self._watched.get(upload_id)
            return item is not None and item.left_at is None

    def stop(self, upload_id: uuid.UUID) -> bool:
        """Ask the request that sends an upload to stop. False if no request of this process sends it."""
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
        release_connection()

    def _has_work(self) -> bool:
        with self._lock:
            if not self._watched:
                self._thread = None  # under the lock: the next `watch` starts another thread
            return self._thread is not None

    def flush(self) -> None:
        with self._lock:
            watched = dict(self._watched)
        if not watched:
            return  # the last upload has ended since
        try:
            now = time.monotonic()
            for item in watched.values():
                item.measure(now)
            _write([(upload_id, item) for upload_id, item in sorted(watched.items(), key=lambda pair: pair[0])])
            for upload_id in _asked_to_stop([upload_id for upload_id, item in watched.items() if item.stop]):
                self.stop(upload_id)
            for item in watched.values() if upload_progress else ():
                _report(item)
        except Exception:  # any error: without heartbeats every upload would soon count as stalled
            log.warning("progress_not_written", uploads=len(watched), exc_info=True)
            connection.close()
        for upload_id, item in watched.items():
            if item.is_paused:
                with self._lock:
                    if self._watched.get(upload_id) is item:
                        del self._watched[upload_id]


def _report(item: _Watched) -> None:
    """Tell the progress of an active upload to other code. An error there is logged, and harms no upload."""
    if item.left_at is not None:
        return
    progress = UploadProgress(item.lines.upload_id, item.seen, item.lines.size, item.speed)
    for callback in upload_progress:
        try:
            callback(progress)
        except Exception:  # of another project's code: uploads go on
            log.warning("progress_callback_failed", upload=str(progress.upload_id), exc_info=True)


def _asked_to_stop(uploads: list[uuid.UUID]) -> list[uuid.UUID]:
    return (
        list(Upload.objects.filter(pk__in=uploads, stop_asked=True).values_list("pk", flat=True)) if uploads else []
    )


# SQL by hand: through the ORM, a thousand uploads delay every request by 100 ms.
_UPDATE_EACH = """
    UPDATE uploads_upload SET "offset" = %s, speed = %s, expires_at = COALESCE(%s, expires_at),
        heartbeat_at = CASE WHEN %s THEN NULL ELSE STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW') END,
        paused_at = CASE WHEN %s THEN STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW') ELSE paused_at END
    WHERE id = %s AND state = 'receiving'
"""
# One statement for all: with one for each, psycopg keeps the interpreter busy for 30 ms.
_UPDATE_ALL = """
    UPDATE uploads_upload SET "offset" = news.at, speed = news.speed,
        expires_at = COALESCE(news.expires_at, uploads_upload.expires_at),
        heartbeat_at = CASE WHEN news.paused THEN NULL ELSE STATEMENT_TIMESTAMP() END,
        paused_at = CASE WHEN news.paused THEN STATEMENT_TIMESTAMP() ELSE paused_at END
    FROM json_to_recordset(%s) AS news(id uuid, at bigint, speed bigint, paused boolean, expires_at timestamptz)
    WHERE uploads_upload.id = news.id AND state = 'receiving'
"""


def _write(progress: list[tuple[uuid.UUID, _Watched]]) -> None:
    with write(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            news = [
                {"id": str(upload_id), "at": item.seen, "speed": int(item.speed), "paused": item.is_paused,
                 "expires_at": item.expires_at and item.expires_at.isoformat()}
                for upload_id, item in progress
            ]  # fmt: skip
            cursor.execute(_UPDATE_ALL, [json.dumps(news)])
        else:  # SQLite: single updates are fast, and one for all may get a bad query plan
            adapted = connection.ops.adapt_datetimefield_value
            cursor.executemany(
                _UPDATE_EACH,
                [
                    (
                        item.seen,
                        int(item.speed),
                        adapted(item.expires_at),
                        item.is_paused,
                        item.is_paused,
                        upload_id.hex,
                    )
                    for upload_id, item in progress
                ],
            )


flusher = Flusher()
