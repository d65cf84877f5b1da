"""Blobs: commit received bytes, share them between files with equal bytes, and read them.

Storing has three steps:

1. Commit a Blob row in the state `storing`. This row is the claim.
2. Sync and link the bytes, and sync their folder.
3. In one transaction, set the state `stored` and create the file.

A crash in between leaves nothing, or a claim that housekeeping finds. A file that users see is complete.
"""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

import structlog
from django.db import IntegrityError

from .. import subscriptions
from ..content.intake import Content
from ..errors import StorageUnavailable
from ..hooks import file_stored
from ..models import Blob, MediaFile
from ..runtime.database_connections import write
from ..sinks.base import Sink, SinkError
from ..sinks.crash_points import Step, reached
from ..sinks.local.sink import LocalSink
from . import sidecars
from .claims import delete_claim, find_claim, make_claim, withdraw_and_remove
from .moved_content import open_wherever
from .stores import sink, sink_named
from .tombstones import buried, bury, remove

log = structlog.get_logger(__name__)

# Creates the MediaFile of a Blob, in the transaction that stores the Blob.
Attach = Callable[[Blob], MediaFile]
_TRIES = 5
_PIECE = 1024**2


class Publishable(Protocol):
    """The part of a Writer that storing needs."""

    key: str
    resumable: bool

    def commit(self) -> None: ...

    def abort(self) -> None: ...


def new_key() -> str:
    return str(uuid.uuid4())


def store(writer: Publishable, content: Content, attach: Attach, into: Sink | None = None) -> MediaFile:
    """Commit the bytes of `writer`, or share a Blob that has equal bytes. Returns the new file."""
    into = into or sink()
    claim = find_claim(into, writer.key) if writer.resumable else None
    if claim is not None and (claim.sha256, claim.size) != (content.sha256, content.size):
        # A power cut lost the end of the claimed bytes, and the client has sent other bytes.
        delete_claim(claim)
        claim = None
    found = claim or _share_or_claim(into, content, attach, writer)
    file = found if isinstance(found, MediaFile) else _publish(into, found, attach, writer)
    # Only now: until the transaction was committed, the bytes of the twin could have been deleted.
    try:
        writer.abort()
    except SinkError:  # the file is stored, and the bytes are deleted later
        log.warning("bytes_not_removed_yet", key=writer.key, exc_info=True)
    reached(Step.ANSWERED)
    return file


def _publish(into: Sink, claim: Blob, attach: Attach, writer: Publishable) -> MediaFile:
    reached(Step.CLAIMED)
    try:
        writer.commit()
        return _mark_stored(into, claim, attach)
    except BaseException:
        if not writer.resumable:  # or the next try finds the claim and the bytes
            withdraw_and_remove(into, claim)
        raise


def heal_blob(writer: Publishable, content: Content) -> None:
    """Store the bytes of a Blob that has lost them. Its files are whole again; no file is created."""
    into = sink()
    with write():
        claim = make_claim(into, writer.key, content)
    try:
        writer.commit()
        with write():
            unneeded = _resolve_healing(into, claim)
    except BaseException:
        withdraw_and_remove(into, claim)
        raise
    remove(into, unneeded)


def _resolve_healing(into: Sink, claim: Blob) -> str:
    """Return the key that is not needed: that of the lost bytes, or of ours if the Blob has its bytes."""
    twin = lock_twin(into, claim.sha256, claim.size)
    delete_claim(claim)
    if twin is not None:
        return keep_one(into, twin, claim.key)
    bury(into.name, claim.key)  # the last file of this content was deleted meanwhile
    return claim.key


def _share_or_claim(into: Sink, content: Content, attach: Attach, writer: Publishable) -> MediaFile | Blob:
    """Return a file of the Blob with equal bytes, or else a claim of the writer's key. In one transaction."""
    with write():
        twin = lock_twin(into, content.sha256, content.size)
        if twin is None or not is_whole(twin):
            return make_claim(into, writer.key, content)
        if writer.resumable:  # its bytes have a name, and remain after a crash
            bury(into.name, writer.key)
        return _attach(twin, attach)


def _mark_stored(into: Sink, claim: Blob, attach: Attach) -> MediaFile:
    for _ in range(_TRIES):
        try:
            with write():
                file, unneeded = _store_or_share(into, claim, attach)
        except IntegrityError:
            # Another upload of equal bytes was stored between our SELECT and our UPDATE: it is our twin now.
            continue
        reached(Step.STORED)
        remove(into, unneeded)
        return file
    raise StorageUnavailable("The file could not be stored. Send it again.")


def _store_or_share(into: Sink, claim: Blob, attach: Attach) -> tuple[MediaFile, str]:
    """Store our Blob, or share its twin. Returns the file, and the key that is not needed."""
    twin = lock_twin(into, claim.sha256, claim.size)
    if twin is None:
        stored = Blob.objects.filter(pk=claim.pk, state=Blob.State.STORING).update(state=Blob.State.STORED)
        if stored != 1:
            raise StorageUnavailable("Storing the upload took too long, and it was given up. Send it again.")
        claim.state = Blob.State.STORED
        return _attach(claim, attach), ""
    delete_claim(claim)
    unneeded = keep_one(into, twin, claim.key)
    return _attach(twin, attach), unneeded


def keep_one(into: Sink, twin: Blob, key: str) -> str:
    """Give the twin our bytes if it has lost its own. Returns the key that is not needed, with a tombstone."""
    unneeded = key if is_whole(twin) else _heal(twin, key)
    bury(into.name, unneeded)
    return unneeded


def register(
    key: str, content: Content, facts: dict[str, object] | None, into: Sink | None = None
) -> tuple[Blob, str]:
    """Return the Blob of bytes that are durable under `key` of `into`. To be called in a transaction.

    If a Blob with the same content exists, also returns the key of the duplicate bytes, which the caller removes
    after the transaction. Raises IntegrityError if the same content was stored at the same time: the caller repeats
    its transaction.
    """
    into = into or sink()
    twin = lock_twin(into, content.sha256, content.size)
    if twin is None:
        blob = Blob.objects.create(
            sink=into.name, key=key, sha256=content.sha256, size=content.size, state=Blob.State.STORED,
            kind=content.kind, media_type=content.media_type, facts=facts,
        )  # fmt: skip
        return blob, ""
    return twin, keep_one(into, twin, key)


def _heal(twin: Blob, key: str) -> str:
    """Replace the lost bytes of the twin by ours. Returns the key of the lost bytes."""
    lost, twin.key, twin.state = twin.key, key, Blob.State.STORED
    twin.save(update_fields=["key", "state"])
    sidecars.moved(twin.files.values_list("pk", flat=True), twin.sink, lost, key)
    return lost


def lock_twin(into: Sink, sha256: str, size: int) -> Blob | None:
    """Lock the Blob with this content until the transaction ends."""
    twins = Blob.objects.select_for_update().exclude(state=Blob.State.STORING)
    return twins.filter(sink=into.name, sha256=sha256, size=size).first()


def is_whole(blob: Blob) -> bool:
    """Whether the store has the bytes of a Blob. Checks their number."""
    return blob.state == Blob.State.STORED and sink_named(blob.sink).size(blob.key) == blob.size


def stored_hash(blob: Blob) -> str | None:
    """Read all bytes of a Blob, and return their SHA-256. None if they cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_blob(blob) as reader:
            while piece := reader.read(_PIECE):
                digest.update(piece)
    except (SinkError, OSError):
        return None
    return digest.hexdigest()


def open_blob(blob: Blob, start: int = 0, end: int | None = None) -> BinaryIO:
    """Read the bytes of a Blob from `start` on; none from `end` on is needed. Raises SinkError."""
    return open_wherever(blob, start, end)


def local_path(blob: Blob) -> Path | None:
    """Return the path of a Blob on this machine, or None if its store has no local files."""
    found = sink_named(blob.sink)
    return found.local_path(blob.key) if isinstance(found, LocalSink) else None


def _attach(blob: Blob, attach: Attach) -> MediaFile:
    file = attach(blob)
    for act in file_stored:
        act(file)
    subscriptions.file_stored.announce(lambda: MediaFile.objects.select_related("blob").filter(pk=file.pk).first())
    return file


def discard(*keys: str) -> None:
    """Delete what is stored under those of the keys that have tombstones: the bytes of others may be in use.

    After a transaction whose answer was lost, for example, which may have been committed.
    """
    into = sink()
    remove(into, *buried(into.name, keys))
