"""The end of an upload, whatever becomes of it: the row says so, and everybody is told in the same transaction."""

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
from ..models import Blob, MediaFile, Upload
from ..runtime.database_connections import write
from ..storage.files import create_file
from ..storage.tombstones import bury
from ..transitions import record
from . import quota, upload_counters

_MEGABYTE = 1e6
_SECOND_LOOK = 4  # times as long as a live holder takes to be heard of

log = structlog.get_logger(__name__)


def complete(upload: Upload, blob: Blob) -> MediaFile:
    """The MediaFile of an upload's bytes; in the same transaction the Upload ends."""
    file = create_file(upload.owner_id, upload.name, blob, _origin(upload))
    file.owner = upload.owner  # nobody has to ask for it again
    mark_complete(upload, file)
    return file


def mark_complete(upload: Upload, file: MediaFile) -> None:
    """The upload has become this file. In the transaction that made the file."""
    ended = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
        state=Upload.State.COMPLETE, offset=file.size, declared_size=file.size, reserved=0, file=file,
        heartbeat_at=Now(), finished_at=Now(), expires_at=None,
    )  # fmt: skip
    if ended != 1:
        raise StorageUnavailable("The server lost sight of this upload and ended it. Send it again.")
    record("upload", upload.pk, Upload.State.COMPLETE)
    audit_log.note(file, f"Uploaded by {upload.get_protocol_display()}.", audit_log.ADDITION)
    upload_counters.count_complete(upload.protocol, file.size, upload.created_at)
    transaction.on_commit(partial(_log_complete, upload, file))
    for act in upload_ended:
        act(upload, file)


def _log_complete(upload: Upload, file: MediaFile) -> None:
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


def fail(upload: Upload, refusal: Refusal) -> bool:
    """End an upload that is on its way. False if it had ended already, and however it did stays."""
    with write():
        ended = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).update(
            state=Upload.State.FAILED, reserved=0, offset=upload.offset, error_code=refusal.code,
            error_detail=refusal.detail[:500], finished_at=Now(),
        )  # fmt: skip
        if ended:
            bury(upload.sink, upload.key)
            record("upload", upload.pk, Upload.State.FAILED, refusal.code)
            if isinstance(refusal, Terminated):
                audit_log.note(upload, "Ended before it was complete.")
            upload_counters.count_failed(upload.protocol, refusal.code)
            for act in upload_ended:
                act(upload, None)
    return bool(ended)


def fail_stalled() -> int:
    """End the one-shot uploads that nobody holds any more: their server died, or was cut off from the database."""
    one_shot = quota.stalled_uploads().filter(key="")
    looked = dict(one_shot.values_list("pk", "heartbeat_at"))
    if not looked:
        return 0
    # A clock that jumped makes every upload look stalled, until its holder writes the next time.
    time.sleep(_SECOND_LOOK * limits().progress_interval)
    stalled = [upload for upload in one_shot.all() if looked.get(upload.pk) == upload.heartbeat_at]
    for upload in stalled:
        fail(upload, Abandoned("The server that received it stopped before it was complete."))
    return len(stalled)


def _origin(upload: Upload) -> MediaFile.Origin:
    ingested = upload.protocol == Upload.Protocol.INGEST
    return MediaFile.Origin.INGEST if ingested else MediaFile.Origin.UPLOAD
