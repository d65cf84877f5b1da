"""Compare rows, bytes and sidecars: find what is missing or unknown, and repair it.

No bytes are deleted here. Those that no row and no sidecar names are moved into quarantine.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from ..models import Blob, MediaFile, SidecarChange
from ..runtime.database_connections import write
from ..sinks.base import Sink, SinkError, Stored
from ..storage.blobs import stored_hash
from ..storage.claims import withdraw
from ..storage.keys_in_use import arriving, named
from ..storage.sidecars import changed, key_and_file, name_of
from ..storage.tombstones import remove

# Younger rows and bytes are left alone: while a file is being stored, one of them exists without the other.
GRACE = timedelta(hours=1)
_BATCH = 500


class Defect(StrEnum):
    MISSING = "bytes are missing"
    DAMAGED = "bytes are damaged"
    RECOVERED = "bytes are back"
    STALE_CLAIM = "abandoned claim"
    UNUSED = "content that no file uses"
    ORPHAN = "bytes without a row"
    UNKNOWN_FILE = "file that the database does not know"
    OLDER_ROW = "row older than the bytes of its file"
    NO_SIDECAR = "file without a sidecar"


# No repair brings these bytes back. They return with their disk, or when the same file is uploaded again.
LOST = {Defect.MISSING, Defect.DAMAGED}
NO_ROW = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Finding:
    defect: Defect
    key: str
    size: int
    row: uuid.UUID = NO_ROW  # id of the Blob, or of the file where its sidecar or its row is missing
    is_noted: bool = False  # the row is marked already: nothing to repair

    def __str__(self) -> str:
        return f"{self.defect}: {self.key} ({self.size} bytes)"


def find_in_rows(
    sink: Sink, *, deep: bool = False, grace: timedelta = GRACE, seen: Callable[[Blob], object] = lambda _: None
) -> Iterator[Finding]:
    """Check every Blob. Calls `seen` with each, for a progress bar."""
    before = timezone.now() - grace
    blobs = Blob.objects.filter(sink=sink.name).annotate(
        used=Exists(MediaFile.objects.filter(blob=OuterRef("pk"))), arriving=Exists(arriving(key=OuterRef("key")))
    )
    last = ""
    # By key, so that a store that lists its keys has these side by side. Each batch has its own query: on SQLite, an
    # open cursor would hide all changes since its start from `_is_true`.
    while batch := list(blobs.filter(key__gt=last).order_by("key")[:_BATCH]):
        last = batch[-1].key
        sizes = sink.sizes({blob.key for blob in batch})
        for blob in batch:
            # The claim of an upload that can still be continued is used when that upload completes.
            defect = None if blob.arriving else _defect_of(sink, blob, sizes.get(blob.key), blob.used, before, deep)
            if defect is not None and (defect not in LOST or _is_true(sink, blob)):
                is_noted = defect in LOST and blob.state == Blob.State.MISSING
                yield Finding(defect, blob.key, blob.size, blob.pk, is_noted)
            seen(blob)


def _defect_of(sink: Sink, blob: Blob, size: int | None, used: bool, before: datetime, deep: bool) -> Defect | None:
    if blob.state == Blob.State.STORING:
        return Defect.STALE_CLAIM if blob.created_at < before else None
    sound = size == blob.size and (not deep or stored_hash(blob) == blob.sha256)
    if blob.state == Blob.State.MISSING:
        # Only after reading them: a disk that was lost may return with other content.
        return Defect.RECOVERED if deep and sound else Defect.MISSING
    if not sound:
        return Defect.MISSING if size is None else Defect.DAMAGED
    if blob.created_at < before and not used:
        return Defect.UNUSED
    return None


def _is_true(sink: Sink, blob: Blob) -> bool:
    """Whether lost bytes are still those of the row. Raises SinkError if the store fails as a whole."""
    if sink.identity() is None:
        raise SinkError(f"The store “{sink.name}” cannot be read any more. The check was stopped.")
    return Blob.objects.filter(pk=blob.pk, sink=blob.sink, key=blob.key).exists()


def find_in_sink(
    sink: Sink, *, grace: timedelta = GRACE, seen: Callable[[Stored], object] = lambda _: None
) -> Iterator[Finding]:
    """Find bytes in the sink that nothing names, in batches. Calls `seen` with each entry of the sink."""
    before = timezone.now() - grace
    batch: dict[str, Stored] = {}
    for stored in sink.walk():
        seen(stored)
        if stored.modified < before:
            batch[stored.key] = stored
        if len(batch) >= _BATCH:
            yield from _orphans(sink, batch)
            batch = {}
    yield from _orphans(sink, batch)


def _orphans(sink: Sink, batch: dict[str, Stored]) -> Iterator[Finding]:
    unnamed = batch.keys() - named(sink, batch)
    committed = {key for key in unnamed if not batch[key].partial}
    # Bytes that were moved or deleted after the listing have no row any more.
    gone = committed - sink.sizes(committed).keys() if committed else set()
    for key in unnamed - gone:
        yield Finding(Defect.ORPHAN, key, batch[key].size)


def find_in_sidecars(sink: Sink) -> Iterator[Finding]:
    """Find sidecars whose file has no row, or another key: the database is older than the store, or is another."""
    names = filter(None, map(key_and_file, sink.sidecars.names()))
    while batch := {file_id: key for key, file_id in islice(names, _BATCH)}:
        files = MediaFile.objects.filter(pk__in=batch)
        known = {file_id: (place, key) for file_id, place, key in files.values_list("pk", "blob__sink", "blob__key")}
        changing = set(SidecarChange.objects.filter(file_id__in=batch).values_list("file_id", flat=True))
        unlike = {
            file_id: key
            for file_id, key in batch.items()
            if known.get(file_id) != (sink.name, key) and file_id not in changing
        }
        # In this order: the chore deletes the sidecar of a deleted file before the SidecarChange.
        there = sink.sidecars.of(set(unlike.values())) if unlike else set()
        for file_id, key in unlike.items():
            if name_of(key, file_id) in there:
                defect = Defect.OLDER_ROW if file_id in known else Defect.UNKNOWN_FILE
                yield Finding(defect, key, sink.size(key) or 0, file_id)


def find_without_sidecar(sink: Sink) -> Iterator[Finding]:
    """Find files whose sidecar is missing and is not about to be written."""
    changing = SidecarChange.objects.filter(file_id=OuterRef("pk"))
    files = MediaFile.objects.filter(~Exists(changing), blob__sink=sink.name)
    keys = Blob.objects.filter(sink=sink.name).order_by("key").values_list("key", flat=True)
    last = ""
    # Each batch has its own query: an open cursor would hide files that are deleted meanwhile.
    while batch := list(keys.filter(key__gt=last)[:_BATCH]):
        last = batch[-1]
        rows = list(files.filter(blob__key__in=batch).order_by("blob__key").values_list("pk", "blob__key", "size"))
        there = sink.sidecars.of({key for _, key, _ in rows})
        without = {file_id: (key, size) for file_id, key, size in rows if name_of(key, file_id) not in there}
        still = set(files.filter(pk__in=without).values_list("pk", "blob__key")) if without else set()
        for file_id, (key, size) in without.items():
            if (file_id, key) in still:
                yield Finding(Defect.NO_SIDECAR, key, size, file_id)


def mend(sink: Sink, finding: Finding) -> bool:
    """Repair one finding if it is still true. Never deletes the row of lost bytes."""
    match finding.defect:
        case Defect.ORPHAN:
            return _quarantine_orphan(sink, finding.key)
        case Defect.NO_SIDECAR:
            return _write_sidecar(finding)
        case Defect.UNKNOWN_FILE | Defect.OLDER_ROW:
            return False
        case Defect.STALE_CLAIM:
            return _withdraw_claim(sink, finding)
    with write():
        blob = Blob.objects.select_for_update().filter(pk=finding.row, key=finding.key).first()
        return blob is not None and _mend_row(sink, blob, finding.defect)


def _quarantine_orphan(sink: Sink, key: str) -> bool:
    if named(sink, [key]):  # checked again
        return False
    sink.quarantine.put(key, "unknown")
    return True


def _write_sidecar(finding: Finding) -> bool:
    file = MediaFile.objects.select_related("blob").filter(pk=finding.row).first()
    if file is not None:
        changed(file)
    return file is not None


def _withdraw_claim(sink: Sink, finding: Finding) -> bool:
    claim = Blob.objects.filter(pk=finding.row, key=finding.key, state=Blob.State.STORING).first()
    if claim is None or arriving(key=claim.key).exists() or not withdraw(claim):
        return False
    remove(sink, claim.key)
    return True


def _mend_row(sink: Sink, blob: Blob, defect: Defect) -> bool:
    match defect:
        case Defect.MISSING | Defect.DAMAGED if blob.state == Blob.State.STORED:
            blob.state = Blob.State.MISSING
        case Defect.RECOVERED if blob.state == Blob.State.MISSING:
            blob.state = Blob.State.STORED
        case Defect.UNUSED if not blob.files.exists():
            key = blob.key
            blob.delete()
            transaction.on_commit(lambda: sink.quarantine.put(key, "unused"))
            return True
        case _:
            return False
    blob.save(update_fields=["state"])
    return True
