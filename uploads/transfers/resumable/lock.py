"""Whose turn a resumable upload is: the lock on its bytes, and its row as it is under that lock."""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from ...conf import limits, resumable_sink, sink
from ...content.intake import Content
from ...errors import AlreadyComplete, Gone, Locked, StorageUnavailable
from ...models import Blob, Upload
from ...runtime.database_connections import let_go
from ...sinks.base import KeyLocked, NoSuchKey
from ...sinks.resumable import ResumableWriter
from ...storage.blobs import find_claim, store
from ...storage.marker import is_ours
from ..completion import complete
from ..progress import flusher

# So long a newcomer waits for the request that holds an upload to let go.
PATIENCE = 5.0
_LOOK_AGAIN = 0.02


def acquire(upload_id: UUID, patience: float = PATIENCE) -> tuple[Upload, ResumableWriter]:
    """Lock the bytes of an upload, and read its row under the lock. Who has the lock is asked to stop.

    AlreadyComplete and Gone: the upload has ended. Locked: the other request has not stopped in time.
    """
    deadline = time.monotonic() + patience
    ask_at = 0.0
    while True:
        upload, writer = _try_acquire(upload_id)
        if writer is not None:
            return upload, writer
        now = time.monotonic()
        if now >= deadline:
            raise Locked("Another request sends this upload, and has not let go yet. Try again.", retry_after=1)
        if not flusher.stop(upload.pk) and now >= ask_at:
            # Not once only: the next holder takes what was asked before it came as meant for the one before.
            ask_at = now + limits().progress_interval
            Upload.objects.filter(pk=upload.pk).update(stop_asked=True)
        let_go()
        time.sleep(_LOOK_AGAIN)


def _try_acquire(upload_id: UUID) -> tuple[Upload, ResumableWriter | None]:
    """The row as it is, and the Writer if nobody else has it."""
    writer, is_held = _resume(str(upload_id))
    try:
        upload = _read(upload_id)
        if upload.state != Upload.State.RECEIVING:
            if writer is not None:
                writer.abort()  # nothing of it is needed here any more
            _refuse_ended(upload)
        if writer is None and not is_held:
            writer = _begin(upload)
        if writer is not None and upload.stop_asked:
            Upload.objects.filter(pk=upload.pk).update(stop_asked=False)
    except BaseException:
        if writer is not None:
            writer.close()
        raise
    return upload, writer


def _resume(key: str) -> tuple[ResumableWriter | None, bool]:
    """The Writer of an open write, and whether another has it. Neither where there is none."""
    try:
        return resumable_sink().resume(key), False
    except KeyLocked:
        return None, True
    except NoSuchKey:
        return None, False


def _read(upload_id: UUID) -> Upload:
    try:
        return Upload.objects.get(pk=upload_id)
    except Upload.DoesNotExist as error:
        raise Gone("This upload has been deleted.") from error


def _refuse_ended(upload: Upload) -> None:
    if upload.state == Upload.State.COMPLETE and upload.file_id is None:
        raise Gone("The file that this upload became has been deleted.")
    if upload.state == Upload.State.COMPLETE:
        raise AlreadyComplete(upload.offset)
    raise Gone(upload.error_detail)


def _begin(upload: Upload) -> ResumableWriter | None:
    """The first bytes come, or all have been kept already and only the rows are not there yet."""
    if not is_ours(sink()):
        raise StorageUnavailable("The server cannot see its disk. Try again later.", retry_after=60)
    claim, size = find_claim(sink(), upload.key), sink().size(upload.key)
    if claim is not None and size == claim.size:
        if not flusher.is_held(upload.pk):  # else a request of this process is at it
            _complete_committed(upload, claim)
        return None
    if claim is None and size is not None:
        _refuse_unknown(upload)
        return None
    with suppress(KeyLocked):
        return resumable_sink().create_resumable(upload.key, size=upload.declared_size)
    return None


def _complete_committed(upload: Upload, claim: Blob) -> None:
    content = Content(claim.sha256, claim.size, claim.kind, claim.media_type)
    with suppress(StorageUnavailable):  # whoever committed them is alive, and was first
        store(_Committed(upload.key), content, partial(complete, upload))


def _refuse_unknown(upload: Upload) -> None:
    """All bytes are here. Either another request completes the upload just now, or the database is an older one."""
    is_open = Upload.objects.filter(pk=upload.pk, state=Upload.State.RECEIVING).exists()
    # In this order: who completes it takes its claim away in the transaction that ends the upload.
    if is_open and find_claim(sink(), upload.key) is None:
        raise Gone("This upload was complete before the database was restored. Its file can be rebuilt.")


@dataclass(slots=True)
class _Committed:
    """Stands for the Writer of bytes that an earlier try has committed."""

    key: str
    resumable: bool = True

    def commit(self) -> None:
        """There is nothing left to do."""

    def abort(self) -> None:
        """Neither here."""
