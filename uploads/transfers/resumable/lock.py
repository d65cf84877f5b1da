"""The lock on a resumable upload: one request at a time sends its bytes.

The sink holds the lock, so that it also works between servers.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from ...conf import limits
from ...content.intake import Content
from ...errors import AlreadyComplete, Forbidden, Gone, Locked, StorageUnavailable
from ...models import Blob, Upload
from ...runtime.database_connections import release_connection
from ...sinks.base import KeyLocked, NoSuchKey
from ...sinks.resumable import ResumableSink, ResumableWriter
from ...storage.blobs import store
from ...storage.claims import find_claim
from ...storage.marker import is_ours
from ...storage.stores import resumable_sink
from ..completion import complete
from ..progress import flusher

# How long a request waits for another one to release the lock, in seconds.
PATIENCE = 5.0
_RETRY_AFTER = 0.02


def acquire(upload_id: UUID, patience: float = PATIENCE) -> tuple[Upload, ResumableWriter]:
    """Lock the bytes of an upload, and read its row under the lock. Ask the request that holds the lock to stop.

    Raises AlreadyComplete or Gone if the upload has ended, Forbidden if it cannot be resumed, Locked if the other
    request has not stopped in time.
    """
    deadline = time.monotonic() + patience
    ask_at = 0.0
    while True:
        upload, writer = _try_acquire(upload_id)
        if writer is not None:
            return upload, writer
        now = time.monotonic()
        if now >= deadline:
            raise Locked("Another request is sending this upload and has not stopped yet. Try again.", retry_after=1)
        if not flusher.stop(upload.pk) and now >= ask_at:
            # Ask repeatedly: a new holder clears the flag, as it may have been meant for the holder before it.
            ask_at = now + limits().progress_interval
            Upload.objects.filter(pk=upload.pk).update(stop_asked=True)
        release_connection()
        time.sleep(_RETRY_AFTER)


def _try_acquire(upload_id: UUID) -> tuple[Upload, ResumableWriter | None]:
    """The row, and the Writer if no other request holds the lock."""
    place = _place_of(upload_id)
    writer, is_held = _resume(place, str(upload_id))
    try:
        upload = _read(upload_id)
        if upload.state != Upload.State.RECEIVING:
            if writer is not None:
                writer.abort()  # an ended upload needs no open write
            _refuse_ended(upload)
        if not upload.is_resumable:
            raise Forbidden("This upload takes no bytes here: it ends with its request, or is sent to the store.")
        if writer is None and not is_held:
            writer = _begin(place, upload)
        if writer is not None and upload.stop_asked:
            Upload.objects.filter(pk=upload.pk).update(stop_asked=False)
    except BaseException:
        if writer is not None:
            writer.close()
        raise
    return upload, writer


def _place_of(upload_id: UUID) -> ResumableSink:
    """The store that the upload was begun in: new bytes may go to another one since then."""
    name = Upload.objects.filter(pk=upload_id).values_list("sink", flat=True).first()
    if name is None:
        raise _deleted()
    return resumable_sink(name)


def _deleted() -> Gone:
    return Gone("This upload has been deleted.")


def _resume(place: ResumableSink, key: str) -> tuple[ResumableWriter | None, bool]:
    """The Writer if it is free, and whether another request holds it. (None, False): no byte has arrived yet."""
    try:
        return place.resume(key), False
    except KeyLocked:
        return None, True
    except NoSuchKey:
        return None, False


def _read(upload_id: UUID) -> Upload:
    try:
        return Upload.objects.get(pk=upload_id)
    except Upload.DoesNotExist as error:
        raise _deleted() from error


def _refuse_ended(upload: Upload) -> None:
    if upload.state == Upload.State.COMPLETE and upload.file_id is None:
        raise Gone("The file that this upload became has been deleted.")
    if upload.state == Upload.State.COMPLETE:
        raise AlreadyComplete(upload.offset)
    raise Gone(upload.error_detail)


def _begin(place: ResumableSink, upload: Upload) -> ResumableWriter | None:
    """Open the first Writer. If a crash left all bytes committed, complete the upload instead."""
    if not is_ours(place):
        raise StorageUnavailable("The server cannot reach its storage. Try again later.", retry_after=60)
    claim, size = find_claim(place, upload.key), place.size(upload.key)
    if claim is not None and size == claim.size:
        if not flusher.is_held(upload.pk):  # else a request of this process is completing it
            _complete_committed(place, upload, claim)
        return None
    if claim is None and size is not None:
        _refuse_unknown(place, upload)
        return None
    with suppress(KeyLocked):
        return place.create_resumable(upload.key, size=upload.declared_size)
    return None


def _complete_committed(place: ResumableSink, upload: Upload, claim: Blob) -> None:
    content = Content(claim.sha256, claim.size, claim.kind, claim.media_type)
    with suppress(StorageUnavailable):  # the request that committed them is alive, and was first
        store(_Committed(upload.key), content, partial(complete, upload), place)


def _refuse_unknown(place: ResumableSink, upload: Upload) -> None:
    """All bytes are stored. Either another request is completing the upload, or an older database was restored."""
    is_open = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).exists()
    # In this order: completing an upload deletes its claim in the transaction that ends the upload.
    if is_open and find_claim(place, upload.key) is None:
        raise Gone(
            "This upload was completed before the database was restored. An administrator can rebuild its file."
        )


@dataclass(slots=True)
class _Committed:
    """Takes the place of a Writer whose bytes an earlier request has committed."""

    key: str
    resumable: bool = True

    def commit(self) -> None:
        """No-op: already committed."""

    def abort(self) -> None:
        """No-op: already committed."""
