"""Blobs: how received bytes are committed, shared by files with equal bytes, and read. Writes a Blob's state.

Order of keeping: a row that claims the key is committed, the bytes are synced, linked and their folder synced,
and one transaction flips the row and makes the file. Whatever dies in between leaves either nothing or a claim
that housekeeping can see. A file that anybody can see is whole.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

import structlog
from django.db import IntegrityError

from ..conf import sink, sink_named
from ..content.intake import Content
from ..errors import StorageUnavailable
from ..hooks import file_stored
from ..models import Blob, MediaFile
from ..runtime.database_connections import write
from ..sinks.base import Sink, SinkError
from ..sinks.crash_points import Step, reached
from ..sinks.local.sink import LocalSink
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
        if twin is None or not is_whole(twin):
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
    superfluous = key if is_whole(twin) else _heal(twin, key)
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


def is_whole(blob: Blob) -> bool:
    """Whether its bytes are here, as far as their number tells."""
    return blob.state == Blob.State.STORED and sink_named(blob.sink).size(blob.key) == blob.size


def open_blob(blob: Blob, start: int = 0) -> BinaryIO:
    """Read its bytes from `start` on. Raises SinkError."""
    return sink_named(blob.sink).open(blob.key, start)


def local_path(blob: Blob) -> Path | None:
    """Where its bytes can be read as a file of this machine. None: they must be fetched."""
    found = sink_named(blob.sink)
    return found.local_path(blob.key) if isinstance(found, LocalSink) else None


def _attach(blob: Blob, attach: Attach) -> MediaFile:
    file = attach(blob)
    for act in file_stored:
        act(file)
    return file


def discard(*keys: str) -> None:
    """Remove what was stored under keys that were buried, if anything was."""
    remove(sink(), *keys)
