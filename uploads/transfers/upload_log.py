"""The log's lines about uploads: one when it is complete, and some while a long one is on its way."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from django.utils import timezone

from ..models import MediaFile, Upload

_PAUSE = 60.0  # seconds
_STEP = 0.1  # of the size
_MEGABYTE = 1e6

log = structlog.get_logger(__name__)


def log_complete(upload: Upload, file: MediaFile) -> None:
    """`seconds` begin with the upload, and so have the pauses of a resumable one in them.

    `manage.py ingest` prints what it took in, and needs no line.
    """
    if upload.protocol == Upload.Protocol.INGEST:
        return
    seconds = max((timezone.now() - upload.created_at).total_seconds(), 1e-3)
    log.info(
        "upload_complete", upload=str(upload.pk), file=str(file.pk), protocol=upload.protocol, size=file.size,
        seconds=round(seconds, 3), megabytes_per_second=round(file.size / seconds / _MEGABYTE, 2),
    )  # fmt: skip


@dataclass(slots=True)
class ProgressLines:
    """When the next line about an upload is due: when a tenth of it has come and a minute has passed since the last.

    One of unknown size has a line a minute.
    """

    upload_id: UUID
    size: int | None
    request_id: str  # of the request that sends, as another thread writes the line
    offset: int
    at: float

    def log_if_due(self, offset: int, now: float, speed: float) -> None:
        if now - self.at < _PAUSE or (self.size and offset - self.offset < _STEP * self.size):
            return
        self.offset, self.at = offset, now
        percent = round(100 * offset / self.size) if self.size else None
        log.info(
            "upload_progress", upload=str(self.upload_id), offset=offset, size=self.size, percent=percent,
            megabytes_per_second=round(speed / _MEGABYTE, 2), request_id=self.request_id or None,
        )  # fmt: skip
