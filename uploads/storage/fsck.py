"""Rows against bytes: what should be here and is not, what is here and should not be; and how to mend each."""

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from ..models import Blob, MediaFile, Upload
from ..registry import keys_in_use
from ..sinks.base import Sink, SinkError

# Nothing younger is judged: what is being stored just now is bytes without a row, or a row without bytes.
GRACE = timedelta(hours=1)
_BATCH = 500
_PIECE = 1024**2


class Defect(StrEnum):
    MISSING = "bytes are missing"
    DAMAGED = "bytes are not the ones received"
    RECOVERED = "bytes are back"
    STALE_CLAIM = "a claim nobody finished"
    UNUSED = "content no file uses"
    ORPHAN = "bytes without a row"


@dataclass(frozen=True, slots=True)
class Finding:
    defect: Defect
    key: str
    size: int
    blob_id: uuid.UUID | None = None

    def __str__(self) -> str:
        return f"{self.defect}: {self.key} ({self.size} bytes)"


def find_in_rows(
    sink: Sink, *, deep: bool = False, grace: timedelta = GRACE, seen: Callable[[Blob], object] = lambda _: None
) -> Iterator[Finding]:
    """Look at every Blob. `seen` is told of each, for a progress bar."""
    before = timezone.now() - grace
    blobs = Blob.objects.filter(sink=sink.name).annotate(
        used=Exists(MediaFile.objects.filter(blob=OuterRef("pk"))), arriving=Exists(_arriving(key=OuterRef("key")))
    )
    for blob in blobs.order_by("pk").iterator(_BATCH):
        # A claim whose upload can still be gone on with is taken up again by whoever completes that.
        defect = None if blob.arriving else _defect_of(sink, blob, blob.used, before, deep)
        if defect is not None:
            yield Finding(defect, blob.key, blob.size, blob.pk)
        seen(blob)


def _defect_of(sink: Sink, blob: Blob, used: bool, before: datetime, deep: bool) -> Defect | None:
    if blob.state == Blob.State.STORING:
        return Defect.STALE_CLAIM if blob.created_at < before else None
    size = sink.size(blob.key)
    sound = size == blob.size and (not deep or _hash_of(sink, blob.key) == blob.sha256)
    if blob.state == Blob.State.MISSING:
        # Only bytes that were read are believed: a disk that came back may have come back changed.
        return Defect.RECOVERED if deep and sound else Defect.MISSING
    if not sound:
        return Defect.MISSING if size is None else Defect.DAMAGED
    if blob.created_at < before and not used:
        return Defect.UNUSED
    return None


def _hash_of(sink: Sink, key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        with sink.open(key) as reader:
            while piece := reader.read(_PIECE):
                digest.update(piece)
    except (SinkError, OSError):
        return None  # bytes that cannot be read are not the ones received
    return digest.hexdigest()


def find_in_sink(sink: Sink, *, grace: timedelta = GRACE) -> Iterator[Finding]:
    """Look at everything the sink has, in batches, for what no row names."""
    before = timezone.now() - grace
    batch: dict[str, int] = {}
    for stored in sink.walk():
        if stored.modified < before:
            batch[stored.key] = stored.size
        if len(batch) >= _BATCH:
            yield from _orphans(sink, batch)
            batch = {}
    yield from _orphans(sink, batch)


def _orphans(sink: Sink, batch: dict[str, int]) -> Iterator[Finding]:
    known = set(Blob.objects.filter(sink=sink.name, key__in=batch).values_list("key", flat=True))
    for key in batch.keys() - known - _in_use(batch):
        yield Finding(Defect.ORPHAN, key, batch[key])


def mend(sink: Sink, finding: Finding) -> bool:
    """Put one finding right, if it still holds. Never removes a row that says what was lost."""
    if finding.defect is Defect.ORPHAN:
        return _remove_orphan(sink, finding.key)
    assert finding.blob_id is not None
    with transaction.atomic():
        blob = Blob.objects.select_for_update().filter(pk=finding.blob_id, key=finding.key).first()
        return blob is not None and _mend_row(sink, blob, finding.defect)


def _arriving(**of: Any) -> QuerySet[Upload]:
    """Resumable uploads that are not complete: their bytes have no Blob yet."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, **of)


def _in_use(keys: Collection[str]) -> set[str]:
    arriving = set(_arriving(key__in=keys).values_list("key", flat=True))
    return arriving.union(*(ask(keys) for ask in keys_in_use))


def _remove_orphan(sink: Sink, key: str) -> bool:
    if Blob.objects.filter(sink=sink.name, key=key).exists() or _in_use([key]):  # the second look
        return False
    sink.delete(key)
    return True


def _mend_row(sink: Sink, blob: Blob, defect: Defect) -> bool:
    match defect:
        case Defect.MISSING | Defect.DAMAGED if blob.state == Blob.State.STORED:
            blob.state = Blob.State.MISSING
        case Defect.RECOVERED if blob.state == Blob.State.MISSING:
            blob.state = Blob.State.STORED
        case Defect.STALE_CLAIM if blob.state == Blob.State.STORING and not _arriving(key=blob.key).exists():
            return _remove_blob(sink, blob)
        case Defect.UNUSED if not blob.files.exists():
            return _remove_blob(sink, blob)
        case _:
            return False
    blob.save(update_fields=["state"])
    return True


def _remove_blob(sink: Sink, blob: Blob) -> bool:
    key = blob.key
    blob.delete()
    transaction.on_commit(lambda: sink.delete(key))
    return True
