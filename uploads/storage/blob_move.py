"""Move a Blob to another store, while its files are downloaded, renamed, deleted and sent again.

1. Copy the bytes to a new key of the other store, and compare their hash with the Blob's.
2. Commit a claim of the new key, and then the bytes. Read them again, unless that is not wanted.
3. In one transaction, write the new place into the Blob's row, or give its files the Blob of the other store that has
   equal content. The old key gets a tombstone that becomes due later, when nobody reads the old bytes any more.

A crash before the transaction leaves the Blob where it was; the claim and its bytes are removed by the sweep.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from django.db import IntegrityError
from django.db.models import Q

from ..content.hashing import Sha256
from ..content.intake import Content
from ..errors import StorageUnavailable
from ..models import Blob, MediaFile
from ..runtime.database_connections import release_connection, write
from ..sinks.base import NoSuchKey, Sink, SinkError, Writer
from ..sinks.crash_points import Step, reached
from . import sidecars
from .blobs import is_whole, keep_one, new_key
from .claims import delete_claim, make_claim, renew_claim, withdraw_and_remove
from .download_urls import longest_use
from .tombstones import bury, remove

log = structlog.get_logger(__name__)
_PIECE = 1024**2
_TRIES = 5
_RENEW_EVERY = 60.0  # seconds; the sweep withdraws claims that are an hour old


class Outcome(StrEnum):
    MOVED = "moved"
    MERGED = "merged"  # with a Blob of the other store that has equal content
    GONE = "deleted or moved by others meanwhile"
    MISSING = "bytes are missing"
    DAMAGED = "bytes are damaged"
    UNREADABLE = "bytes cannot be read"


LEFT = {Outcome.MISSING, Outcome.DAMAGED, Outcome.UNREADABLE}


class CopyDiffers(SinkError):
    """The store took the copy without an error, and returns other bytes."""


class _Unmovable(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Route:
    source: Sink
    target: Sink
    kept: timedelta  # how long the old bytes stay for those who read them
    is_read_again: bool = True  # whether each copy is read and hashed again before it counts


def move_blob(blob: Blob, route: Route, seen: Callable[[int], object]) -> Outcome:
    """Move one Blob. Calls `seen` with the size of each piece; it may raise to stop.

    Raises SinkError if the other store fails, and StorageUnavailable if the claim was withdrawn as too old.
    """
    if _share_twin(blob, route):
        return Outcome.MERGED
    try:
        writer = _copy(blob, route, seen)
    except _Unmovable as reason:
        return reason.outcome if _is_current(blob) else Outcome.GONE
    return _publish(blob, route, writer, seen)


def _share_twin(blob: Blob, route: Route) -> bool:
    """Without a copy, if the other store has the content already."""
    equal = Blob.objects.filter(sink=route.target.name, sha256=blob.sha256, size=blob.size)
    if not equal.exclude(state=Blob.State.STORING).exists():
        return False
    with write():
        current, twin = _lock_both(blob, route)
        if current is None or twin is None or not is_whole(twin):
            return False
        _give_files_to(twin, current, route)
    return True


def _copy(blob: Blob, route: Route, seen: Callable[[int], object]) -> Writer:
    release_connection()
    writer = route.target.create(new_key(), size=blob.size)
    try:
        digest = Sha256()
        for piece in _pieces(route.source, blob.key):
            digest.update(piece)
            writer.write(piece)
            seen(len(piece))
        if (writer.offset, digest.hexdigest()) != (blob.size, blob.sha256):
            raise _Unmovable(Outcome.DAMAGED)
    except BaseException:
        writer.abort()
        raise
    return writer


def _pieces(source: Sink, key: str) -> Iterator[bytes]:
    try:
        with source.open(key) as reader:
            while piece := reader.read(_PIECE):
                yield piece
    except NoSuchKey:
        raise _Unmovable(Outcome.MISSING) from None
    except (SinkError, OSError) as error:
        log.warning("content_not_read", key=key, store=source.name, reason=str(error))
        raise _Unmovable(Outcome.UNREADABLE) from error


def _is_current(blob: Blob) -> bool:
    return Blob.objects.filter(pk=blob.pk, sink=blob.sink, key=blob.key).exists()


def _publish(blob: Blob, route: Route, writer: Writer, seen: Callable[[int], object]) -> Outcome:
    target, content = route.target, Content(blob.sha256, blob.size, blob.kind, blob.media_type)
    with write():
        claim = make_claim(target, writer.key, content)
    reached(Step.CLAIMED)
    try:
        writer.commit()
        if target.size(claim.key) != claim.size or (
            route.is_read_again and _hash_again(target, claim, seen) != claim.sha256
        ):
            raise CopyDiffers(f"The store “{target.name}” returns other bytes than it was sent.")
        outcome, unneeded = _switch(blob, claim, route)
    except BaseException:
        writer.abort()
        withdraw_and_remove(target, claim)
        raise
    reached(Step.STORED)
    remove(target, unneeded)
    return outcome


def _hash_again(target: Sink, claim: Blob, seen: Callable[[int], object]) -> str:
    digest, renew_at = Sha256(), time.monotonic() + _RENEW_EVERY
    try:
        with target.open(claim.key) as reader:
            while piece := reader.read(_PIECE):
                digest.update(piece)
                seen(0)
                if time.monotonic() > renew_at:
                    renew_at += _RENEW_EVERY
                    renew_claim(claim)
    except OSError as error:
        raise SinkError(str(error)) from error
    return digest.hexdigest()


def _switch(blob: Blob, claim: Blob, route: Route) -> tuple[Outcome, str]:
    """Returns also the key of the other store that is not needed."""
    for _ in range(_TRIES):
        try:
            with write():
                return _switch_once(blob, claim, route)
        except IntegrityError:
            # An upload of equal bytes was stored between our SELECT and our UPDATE: it is our twin now.
            continue
    raise StorageUnavailable("The content could not be moved. Try again.")


def _switch_once(blob: Blob, claim: Blob, route: Route) -> tuple[Outcome, str]:
    current, twin = _lock_both(blob, route)
    delete_claim(claim)
    if current is None:
        bury(claim.sink, claim.key)
        return Outcome.GONE, claim.key
    if twin is not None:
        unneeded = keep_one(route.target, twin, claim.key)
        _give_files_to(twin, current, route)
        return Outcome.MERGED, unneeded
    files = list(current.files.values_list("pk", flat=True))
    Blob.objects.filter(pk=current.pk).update(sink=claim.sink, key=claim.key, state=Blob.State.STORED)
    _leave(current, files, claim, route)
    return Outcome.MOVED, ""


def _lock_both(blob: Blob, route: Route) -> tuple[Blob | None, Blob | None]:
    """Lock the Blob, if it is still where it was, and the Blob of the other store that has equal content."""
    equal = Q(sink=route.target.name, sha256=blob.sha256, size=blob.size) & ~Q(state=Blob.State.STORING)
    # In one order, as others who lock several.
    rows = list(Blob.objects.select_for_update().filter(Q(pk=blob.pk) | equal).order_by("pk"))
    current = next((row for row in rows if row.pk == blob.pk and (row.sink, row.key) == (blob.sink, blob.key)), None)
    return current, next((row for row in rows if row.sink == route.target.name), None)


def _give_files_to(twin: Blob, old: Blob, route: Route) -> None:
    files = list(old.files.values_list("pk", flat=True))
    MediaFile.objects.filter(pk__in=files).update(blob=twin)
    if twin.facts is None and old.facts is not None:
        Blob.objects.filter(pk=twin.pk).update(facts=old.facts)
    Blob.objects.filter(pk=old.pk).delete()
    _leave(old, files, twin, route)


def _leave(old: Blob, files: Collection[UUID], new: Blob, route: Route) -> None:
    """Schedule the sidecars at the new place, then those at the old one, and later the deletion of the old bytes."""
    kept = max(route.kept, timedelta(seconds=longest_use(old)))
    sidecars.moved(files, new.sink, new.key)
    sidecars.moved(files, old.sink, old.key)
    bury(old.sink, old.key, after=kept)
