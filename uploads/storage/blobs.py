"""How bytes become a file, and how they go. The only module that writes a Blob's state or deletes content.

Order of keeping: a row that claims the key is committed, the bytes are synced, linked and their folder synced,
and one transaction flips the row and makes the file. Whatever dies in between leaves either nothing or a claim
that housekeeping can see. A file that anybody can see is whole.

Order of deleting: one transaction takes the rows away and leaves a tombstone of the key and a change of the sidecar;
then the sidecar goes, and then the bytes.
"""

import uuid
from collections.abc import Callable, Collection
from typing import Protocol

import structlog
from django.db import IntegrityError, transaction

from .. import audit_log
from ..conf import sink
from ..content.intake import Content
from ..errors import StorageUnavailable
from ..hooks import file_deleting, file_stored
from ..models import Blob, MediaFile, Upload
from ..runtime.database_connections import frees_room, write
from ..sinks.base import Sink, SinkError
from ..sinks.crash_points import Step, reached
from . import sidecars
from .tombstones import bury, remove

log = structlog.get_logger(__name__)

# Makes the MediaFile of a Blob, in the transaction that made the Blob certain.
Attach = Callable[[Blob], MediaFile]
_TRIES = 5


class Publishable(Protocol):
    """The part of a Writer that keeping needs; `ingest` has one that links instead of writing."""

    key: str
    resumable: bool

    def commit(self) -> None: ...

    def abort(self) -> None: ...


def new_key() -> str:
    return str(uuid.uuid4())


def store(writer: Publishable, content: Content, attach: Attach, into: Sink | None = None) -> MediaFile:
    """Keep what `writer` holds, or share the Blob that has the same bytes already."""
    into = into or sink()
    claim = find_claim(into, writer.key) if writer.resumable else None
    if claim is not None and (claim.sha256, claim.size) != (content.sha256, content.size):
        # A power cut took the end of the bytes that it speaks of, and others came in their place.
        _delete_claim(claim)
        claim = None
    found = claim or _share_or_claim(into, content, attach, writer)
    file = found if isinstance(found, MediaFile) else _publish(into, found, attach, writer)
    # Only now: until the transaction is through, the twin's bytes might still have gone.
    try:
        writer.abort()
    except SinkError:  # it is no reason to fail what has succeeded, and is removed later
        log.warning("bytes_not_removed_yet", key=writer.key, exc_info=True)
    reached(Step.ANSWERED)
    return file


def _publish(into: Sink, claim: Blob, attach: Attach, writer: Publishable) -> MediaFile:
    reached(Step.CLAIMED)
    try:
        writer.commit()
        return _flip(into, claim, attach)
    except BaseException:
        if not writer.resumable:  # else the next try finds the claim, and what has become of the bytes
            _withdraw(into, claim)
        raise


def heal_blob(writer: Publishable, content: Content) -> None:
    """Give the Blob of this content its bytes back, if they are lost. Its files are whole again; none is made."""
    into = sink()
    with write():
        claim = _claim(into, writer.key, content)
    try:
        writer.commit()
        with write():
            superfluous = _settle_healing(into, claim)
    except BaseException:
        _withdraw(into, claim)
        raise
    remove(into, superfluous)


def _settle_healing(into: Sink, claim: Blob) -> str:
    """Answers with the key of bytes that nobody needs: the lost ones, or ours where nothing was to be healed."""
    twin = _lock_twin(into, claim.sha256, claim.size)
    _delete_claim(claim)
    if twin is not None:
        return _choose(into, twin, claim.key)
    bury(into.name, claim.key)  # the last file of this content was deleted meanwhile
    return claim.key


def find_claim(into: Sink, key: str) -> Blob | None:
    """What an earlier try to keep the bytes of `key` had got to."""
    return Blob.objects.filter(sink=into.name, key=key, state=Blob.State.STORING).first()


def _claim(into: Sink, key: str, content: Content) -> Blob:
    return Blob.objects.create(
        sink=into.name, key=key, sha256=content.sha256, size=content.size,
        kind=content.kind, media_type=content.media_type,
    )  # fmt: skip


def _share_or_claim(into: Sink, content: Content, attach: Attach, writer: Publishable) -> MediaFile | Blob:
    """The file, if a Blob has the same bytes already, else a claim of the writer's key. In one transaction."""
    with write():
        twin = _lock_twin(into, content.sha256, content.size)
        if twin is None or not is_whole(into, twin):
            return _claim(into, writer.key, content)
        if writer.resumable:  # its bytes have a name, and would outlive a crash
            bury(into.name, writer.key)
        return _attach(twin, attach)


def _flip(into: Sink, claim: Blob, attach: Attach) -> MediaFile:
    for _ in range(_TRIES):
        try:
            with write():
                file, superfluous = _settle(into, claim, attach)
        except IntegrityError:
            # Between our look and our UPDATE another upload of the same bytes was flipped: it is our twin now.
            continue
        reached(Step.STORED)
        remove(into, superfluous)
        return file
    raise StorageUnavailable("The file could not be stored just now. Send it again.")


def _settle(into: Sink, claim: Blob, attach: Attach) -> tuple[MediaFile, str]:
    """Decide between our bytes and a twin's. Returns the file, and the key of bytes that nobody needs."""
    twin = _lock_twin(into, claim.sha256, claim.size)
    if twin is None:
        flipped = Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).update(state=Blob.State.STORED)
        if flipped != 1:
            raise StorageUnavailable("The upload took too long to be stored and was swept. Send it again.")
        claim.state = Blob.State.STORED
        return _attach(claim, attach), ""
    _delete_claim(claim)
    superfluous = _choose(into, twin, claim.key)
    return _attach(twin, attach), superfluous


def _choose(into: Sink, twin: Blob, key: str) -> str:
    """Of a twin's bytes and ours under `key` the twin keeps one. The other key is buried, and returned."""
    superfluous = key if is_whole(into, twin) else _heal(twin, key)
    bury(into.name, superfluous)
    return superfluous


def register(key: str, content: Content, facts: dict[str, object] | None) -> tuple[Blob, str]:
    """A Blob of bytes that are durable under `key` already. In the caller's transaction, which settles everything.

    Answers also with the key of bytes that nobody needs, to be removed when the transaction is through: a twin
    was here. An IntegrityError says that one came just now: the caller begins its transaction again.
    """
    into = sink()
    twin = _lock_twin(into, content.sha256, content.size)
    if twin is None:
        blob = Blob.objects.create(
            sink=into.name, key=key, sha256=content.sha256, size=content.size, state=Blob.State.STORED,
            kind=content.kind, media_type=content.media_type, facts=facts,
        )  # fmt: skip
        return blob, ""
    return twin, _choose(into, twin, key)


def _heal(twin: Blob, key: str) -> str:
    """The twin has lost its bytes and we have just brought them: its files are whole again."""
    lost, twin.key, twin.state = twin.key, key, Blob.State.STORED
    twin.save(update_fields=["key", "state"])
    sidecars.moved(twin.files.values_list("pk", flat=True), twin.sink, lost, key)
    return lost


def _withdraw(into: Sink, claim: Blob) -> None:
    """After a failure: take the claim and its bytes back, unless the flip did go through after all."""
    if withdraw(claim):
        remove(into, claim.key)


def withdraw(claim: Blob) -> bool:
    """Delete a claim that will not be finished, and bury its key. False if it was finished or deleted meanwhile."""
    with write():
        withdrawn = Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).delete()[0]
        if withdrawn:
            bury(claim.sink, claim.key)
    return bool(withdrawn)


def _delete_claim(claim: Blob) -> None:
    if not Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).delete()[0]:
        raise StorageUnavailable("The upload took too long to be stored and was swept. Send it again.")


def _lock_twin(into: Sink, sha256: str, size: int) -> Blob | None:
    twins = Blob.objects.select_for_update().exclude(state=Blob.State.STORING)
    return twins.filter(sink=into.name, sha256=sha256, size=size).first()


def is_whole(into: Sink, blob: Blob) -> bool:
    """Whether its bytes are here, as far as their number tells."""
    return blob.state == Blob.State.STORED and into.size(blob.key) == blob.size


def _attach(blob: Blob, attach: Attach) -> MediaFile:
    file = attach(blob)
    for act in file_stored:
        act(file)
    return file


def create_file(owner_id: int, name: str, blob: Blob, origin: str, file_id: uuid.UUID | None = None) -> MediaFile:
    """The only INSERT of a file: its sidecar follows. It has an id already when it is made anew from a sidecar."""
    file = MediaFile.objects.create(
        pk=file_id or uuid.uuid4(), owner_id=owner_id, name=name, blob=blob, origin=origin,
        has_facts=origin == MediaFile.Origin.JOB,  # it was verified by the job that made it
    )  # fmt: skip
    sidecars.changed(file)
    return file


def keep_from_deletion(files: Collection[MediaFile]) -> set[uuid.UUID]:
    """Which of these files are still here. They stay until the caller's transaction ends.

    It locks what `delete_file` locks first, the Blobs, and in one order; only then the files can be looked for.
    """
    blobs = Blob.objects.select_for_update(no_key=True).filter(pk__in={file.blob_id for file in files})
    list(blobs.order_by("pk").values_list("pk"))
    return set(MediaFile.objects.filter(pk__in=[file.pk for file in files]).values_list("pk", flat=True))


def rename_file(file: MediaFile, name: str) -> bool:
    """Give a file another name, and change nothing else of its row. False if the file is gone."""
    with write():
        renamed = MediaFile.objects.filter(pk=file.pk).update(name=name)
        if renamed:
            audit_log.note(file, f"Renamed to “{name}”.")
        sidecars.changed(file)
    if renamed:
        file.name = name
    return bool(renamed)


@frees_room
def delete_file(file: MediaFile) -> bool:
    """Delete a file, and its Blob and bytes if it was the last to share them. False if it was gone already."""
    with write():
        # The Blob first, as keeping does: an upload of the same bytes then waits, and finds no Blob.
        blob = Blob.objects.select_for_update().filter(pk=file.blob_id).first()
        if blob is None:
            return False
        for act in file_deleting:
            act(file)
        Upload.objects.filter(file=file).update(idempotency_key="")  # the key may make a new file now
        deleted = MediaFile.objects.filter(pk=file.pk).delete()[1].get("uploads.MediaFile", 0)
        if deleted:
            audit_log.note(file, "Deleted.", audit_log.DELETION)
        sidecars.moved([file.pk], blob.sink, blob.key)
        is_last = not blob.files.exists()
        if is_last:
            blob.delete()
            bury(blob.sink, blob.key)
        transaction.on_commit(lambda: _finish_deletion(blob.key, file.pk, is_last=is_last))
    return bool(deleted)


def _finish_deletion(key: str, file_id: uuid.UUID, *, is_last: bool) -> None:
    if is_last:
        reached(Step.ROW_DELETED)
    try:
        sidecars.update(sink(), (key, file_id))
    except SinkError:
        log.warning("sidecar_not_removed_yet", key=key, exc_info=True)
        return
    if is_last:
        reached(Step.SIDECAR_DELETED)
        remove(sink(), key)
        reached(Step.BYTES_DELETED)


def discard(*keys: str) -> None:
    """Remove what was stored under keys that were buried, if anything was."""
    remove(sink(), *keys)
