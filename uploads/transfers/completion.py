"""End an upload: complete or failed. The row, its transition, the counters and the hooks share one transaction."""

import time
from functools import partial

import structlog
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from .. import audit_log
from ..conf import limits
from ..errors import Abandoned, Refusal, StorageUnavailable, Terminated
from ..hooks import upload_ended
from ..models import Blob, MediaFile, Transition, Upload
from ..runtime.database_connections import write
from ..storage.files import create_file
from ..storage.tombstones import bury
from . import quota, upload_counters

_MEGABYTE = 1e6
_RECHECK_INTERVALS = 4  # times the interval of heartbeats

log = structlog.get_logger(__name__)


def complete(upload: Upload, blob: Blob) -> MediaFile:
    """Create the MediaFile and mark the Upload as complete, in the caller's transaction."""
    file = create_file(upload.owner_id, upload.name, blob, _origin(upload), metadata=upload.file_metadata)
    file.owner = upload.owner  # saves a query
    mark_complete(upload, file)
    return file


def mark_complete(upload: Upload, file: MediaFile) -> None:
    """Mark the Upload as complete. Call it in the transaction that creates the file."""
    ended = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
        state=Upload.State.COMPLETE, offset=file.size, declared_size=file.size, reserved=0, file=file,
        heartbeat_at=Now(), finished_at=Now(), expires_at=None,
    )  # fmt: skip
    if ended != 1:
        raise StorageUnavailable("The server ended this upload because it stalled. Send it again.")
    Transition.record("upload", upload.pk, Upload.State.COMPLETE)
    audit_log.note(file, f"Uploaded by {upload.get_protocol_display()}.", audit_log.ADDITION)
    upload_counters.count_complete(upload.protocol, file.size, upload.created_at)
    transaction.on_commit(partial(_log_complete, upload, file))
    for act in upload_ended:
        act(upload, file)


def _log_complete(upload: Upload, file: MediaFile) -> None:
    """Log a completed upload. `seconds` count from its start, including the pauses of a resumable upload.

    Uploads by `manage.py ingest` are not logged: the command prints them.
    """
    if upload.protocol == Upload.Protocol.INGEST:
        return
    seconds = max((timezone.now() - upload.created_at).total_seconds(), 1e-3)
    log.info(
        "upload_complete", upload=str(upload.pk), file=str(file.pk), protocol=upload.protocol, size=file.size,
        seconds=round(seconds, 3), megabytes_per_second=round(file.size / seconds / _MEGABYTE, 2),
    )  # fmt: skip


def fail(upload: Upload, refusal: Refusal, *, keep_bytes: bool = False) -> bool:
    """Mark an unfinished upload as failed, and its bytes as ones to delete, unless the caller has a use for them.

    False if it had ended before; then nothing changes.
    """
    with write():
        ended = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            state=Upload.State.FAILED, reserved=0, offset=upload.offset, error_code=refusal.code,
            error_detail=refusal.detail[:500], finished_at=Now(),
        )  # fmt: skip
        if ended:
            if not keep_bytes:
                bury(upload.sink, upload.key)
            Transition.record("upload", upload.pk, Upload.State.FAILED, refusal.code)
            if isinstance(refusal, Terminated):
                audit_log.note(upload, "Terminated before it was complete.")
            upload_counters.count_failed(upload.protocol, refusal.code)
            for act in upload_ended:
                act(upload, None)
    return bool(ended)


def fail_stalled() -> int:
    """Fail the stalled uploads that cannot be resumed: their server died, or lost its connection to the database."""
    one_shot = quota.stalled_uploads().filter(key="")
    before = dict(one_shot.values_list("pk", "heartbeat_at"))
    if not before:
        return 0
    # After a jump of the clock every upload looks stalled until its next heartbeat. So check twice.
    time.sleep(_RECHECK_INTERVALS * limits().progress_interval)
    stalled = [upload for upload in one_shot.all() if before.get(upload.pk) == upload.heartbeat_at]
    for upload in stalled:
        fail(upload, Abandoned("The server stopped before the upload was complete."))
    return len(stalled)


def _origin(upload: Upload) -> MediaFile.Origin:
    ingested = upload.protocol == Upload.Protocol.INGEST
    return MediaFile.Origin.INGEST if ingested else MediaFile.Origin.UPLOAD
