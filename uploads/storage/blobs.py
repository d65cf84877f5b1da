"""How bytes become a file, and how they go. The only module that writes a Blob's state or deletes content.

Order of keeping: a row that claims the key is committed, the bytes are synced, linked and their folder synced,
and one transaction flips the row and makes the file. Whatever dies in between leaves either nothing or a claim
that housekeeping can see. A file that anybody can see is whole.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog
from django.db import IntegrityError, transaction

from ..conf import sink
from ..connections import write
from ..errors import StorageUnavailable
from ..intake import Content
from ..models import Blob, MediaFile, Upload
from ..registry import file_deleting, file_stored
from ..sinks.base import Sink, SinkError
from ..steps import Step, reached

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
    file = None if claim else _share(into, content, attach)
    if file is None:
        claim = claim or _claim(into, writer.key, content)
        reached(Step.CLAIMED)
        try:
            writer.commit()
            file = _flip(into, claim, attach)
        except BaseException:
            if not writer.resumable:  # else the next try finds the claim, and what has become of the bytes
                _withdraw(into, claim)
            raise
    # Only now: until the transaction is through, the twin's bytes might still have gone.
    with _or_housekeeping_will(writer.key):
        writer.abort()
    reached(Step.ANSWERED)
    return file


def find_claim(into: Sink, key: str) -> Blob | None:
    """What an earlier try to keep the bytes of `key` had got to."""
    return Blob.objects.filter(sink=into.name, key=key, state=Blob.State.STORING).first()


def _claim(into: Sink, key: str, content: Content) -> Blob:
    with write():
        return Blob.objects.create(
            sink=into.name, key=key, sha256=content.sha256, size=content.size,
            kind=content.kind, media_type=content.media_type,
        )  # fmt: skip


def _share(into: Sink, content: Content, attach: Attach) -> MediaFile | None:
    with write():
        twin = _lock_twin(into, content.sha256, content.size)
        if twin is None or not _is_whole(into, twin):
            return None
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
        if superfluous:
            _discard(into, superfluous)
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
    if _is_whole(into, twin):
        return _attach(twin, attach), claim.key
    lost = _heal(twin, claim.key)
    return _attach(twin, attach), lost


def register(key: str, content: Content, facts: dict[str, object] | None) -> tuple[Blob, str]:
    """A Blob of bytes that are durable under `key` already. In the caller's transaction, which settles everything.

    Answers also with the key of bytes that nobody needs, to be discarded when the transaction is through: a twin
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
    if _is_whole(into, twin):
        return twin, key
    return twin, _heal(twin, key)


def _heal(twin: Blob, key: str) -> str:
    """The twin has lost its bytes and we have just brought them: its files are whole again."""
    lost, twin.key, twin.state = twin.key, key, Blob.State.STORED
    twin.save(update_fields=["key", "state"])
    return lost


def _withdraw(into: Sink, claim: Blob) -> None:
    """After a failure: take the claim and its bytes back, unless the flip did go through after all."""
    if Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).delete()[0]:
        _discard(into, claim.key)


def _delete_claim(claim: Blob) -> None:
    if not Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).delete()[0]:
        raise StorageUnavailable("The upload took too long to be stored and was swept. Send it again.")


def _lock_twin(into: Sink, sha256: str, size: int) -> Blob | None:
    twins = Blob.objects.select_for_update().exclude(state=Blob.State.STORING)
    return twins.filter(sink=into.name, sha256=sha256, size=size).first()


def _is_whole(into: Sink, blob: Blob) -> bool:
    return blob.state == Blob.State.STORED and into.size(blob.key) == blob.size


def _attach(blob: Blob, attach: Attach) -> MediaFile:
    file = attach(blob)
    for act in file_stored:
        act(file)
    return file


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
        if not blob.files.exists():
            blob.delete()
            transaction.on_commit(lambda: _delete_bytes(blob))
    return bool(deleted)


def _delete_bytes(blob: Blob) -> None:
    reached(Step.ROW_DELETED)
    _discard(sink(), blob.key)
    reached(Step.BYTES_DELETED)


def discard(*keys: str) -> None:
    """Remove what was stored under keys that no row names, if anything was."""
    for key in filter(None, keys):
        _discard(sink(), key)


def _discard(place: Sink, key: str) -> None:
    """Remove bytes that no row names any more."""
    with _or_housekeeping_will(key):
        place.delete(key)


@contextmanager
def _or_housekeeping_will(key: str) -> Iterator[None]:
    """What cannot be removed now is swept later, and is no reason to fail what has succeeded."""
    try:
        yield
    except SinkError:
        log.warning("bytes_left_behind", key=key, exc_info=True)
