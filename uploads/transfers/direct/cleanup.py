"""End direct uploads, and delete what they left in the store: parts, or the object that the parts became."""

import structlog
from django.db.models.functions import Now
from django.utils import timezone

from ...errors import Expired, Refusal, Terminated, UploadComplete
from ...models import DirectUpload, Upload
from ...runtime.database_connections import frees_space, release_connection, write
from ...sinks.base import SinkError
from ...sinks.patience import patience_of
from ...storage.stores import direct_sink_named, sink_named
from ...storage.tombstones import remove
from .. import quota
from ..completion import fail
from ..resumable.expiry import lifetime
from . import parts

log = structlog.get_logger(__name__)
_PATIENCE = 5.0  # seconds: chores finish what fails here


@frees_space
def terminate(upload: Upload) -> None:
    """End an unfinished upload for its client. Raises UploadComplete if it has become a file."""
    if not end(upload, Terminated("The client terminated the upload.")):
        upload.refresh_from_db()
        if upload.state == Upload.State.COMPLETE:
            raise UploadComplete("This upload is complete. Delete its file instead.")


def end(upload: Upload, refusal: Refusal) -> bool:
    """Fail an upload and delete its bytes. False if it had ended before."""
    ended = fail(upload, refusal)
    direct = DirectUpload.objects.filter(pk=upload.pk).first()
    with patience_of(_PATIENCE):
        if direct is not None:
            close(direct)
        if ended:  # after the open write is gone: it could still have become an object
            remove_bytes(upload)
    return ended


def remove_bytes(upload: Upload) -> None:
    """Delete the object that the parts became. Its key has a tombstone: on an error the chore tries again."""
    try:
        remove(sink_named(upload.sink), upload.key)
    except SinkError:
        log.warning("bytes_not_removed_yet", key=upload.key, exc_info=True)


def close(direct: DirectUpload) -> bool:
    """Delete the open write of an upload that has ended, and its row. On an error the chore tries again."""
    release_connection()
    try:
        direct_sink_named(direct.upload.sink).direct.abandon(direct.upload.key, direct.write_id)
    except SinkError:
        log.warning("parts_not_removed_yet", upload=str(direct.pk), exc_info=True)
        return False
    with write():
        return bool(DirectUpload.objects.filter(pk=direct.pk).delete()[0])


def close_ended() -> int:
    """The chore: close the uploads that ended while the store, or the process that ended them, was away."""
    ended = DirectUpload.objects.exclude(upload__state=Upload.State.RECEIVING).select_related("upload")
    return sum(close(direct) for direct in list(ended))


def pause_silent() -> int:
    """The chore: uploads whose clients ask for nothing any more do not count as being sent."""
    silent = quota.stalled_uploads().filter(protocol=Upload.Protocol.DIRECT)
    return silent.update(heartbeat_at=None, paused_at=Now()) if silent.exists() else 0


def expire(upload: Upload) -> None:
    """Fail an upload that was not continued in time, unless parts have arrived since it was last looked at."""
    direct = DirectUpload.objects.filter(pk=upload.pk).select_related("upload").first()
    come = sum(part.size for part in parts.arrived(direct)) if direct is not None and direct.sent_at is None else 0
    if come > upload.offset:
        late = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING, expires_at=upload.expires_at)
        late.update(offset=come, expires_at=timezone.now() + lifetime(come))
    else:
        end(upload, Expired("This upload was not continued before it expired."))
