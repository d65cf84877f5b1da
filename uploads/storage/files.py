"""Files: created, renamed and deleted, with the sidecar that describes them in the store.

Order of deleting: one transaction deletes the rows, and writes a tombstone of the key and a change of the sidecar;
then the sidecar is deleted, and then the bytes.
"""

import uuid
from collections.abc import Collection

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from .. import audit_log, text_index
from ..hooks import file_deleting
from ..models import Blob, MediaFile, Upload
from ..runtime.database_connections import frees_space, write
from ..sinks.base import SinkError
from ..sinks.crash_points import Step, reached
from ..text.client_metadata import Metadata
from . import sidecars
from .stores import sink_named
from .tombstones import bury, remove

log = structlog.get_logger(__name__)


def create_file(
    owner_id: int,
    name: str,
    blob: Blob,
    origin: str,
    file_id: uuid.UUID | None = None,
    metadata: Metadata | None = None,
) -> MediaFile:
    """Create a file, and schedule its sidecar. `file_id` is given if the file is rebuilt from a sidecar."""
    file = MediaFile.objects.create(
        pk=file_id or uuid.uuid4(), owner_id=owner_id, name=name, blob=blob, origin=origin,
        metadata=metadata, has_facts=origin == MediaFile.Origin.JOB,  # the job that made it has verified it
        indexed_at=timezone.now(),
    )  # fmt: skip
    text_index.index_file(file, is_new=True)
    sidecars.changed(file)
    return file


def keep_from_deletion(files: Collection[MediaFile]) -> set[uuid.UUID]:
    """Return which of these files exist. They cannot be deleted until the caller's transaction ends.

    Locks the Blobs, as `delete_file` does first, in the order of their ids. Then it looks for the files, which may
    have got other Blobs meanwhile: `move-storage` lets them share one of the other store.
    """
    blobs = {file.pk: file.blob_id for file in files}
    while True:
        rows = Blob.objects.select_for_update(no_key=True).filter(pk__in=blobs.values()).order_by("pk")
        locked = set(rows.values_list("pk", flat=True))
        blobs = dict(MediaFile.objects.filter(pk__in=[file.pk for file in files]).values_list("pk", "blob_id"))
        if locked.issuperset(blobs.values()):
            return set(blobs)


def lock_blob(file: QuerySet[MediaFile]) -> Blob | None:
    """Lock the Blob of a file until the caller's transaction ends. None if the file does not exist."""
    while (blob_id := file.values_list("blob_id", flat=True).first()) is not None:
        if (blob := Blob.objects.select_for_update().filter(pk=blob_id).first()) is not None:
            return blob
    return None


def rename_file(file: MediaFile, name: str) -> bool:
    """Rename a file. Changes no other column. False if the file does not exist."""
    with write():
        renamed = MediaFile.objects.filter(pk=file.pk).update(name=name)
        if renamed:
            audit_log.note(file, f"Renamed to “{name}”.")  # an entry about the old name
            file.name = name
            text_index.index_file(file)
        sidecars.changed(file)
    return bool(renamed)


def describe_file(file: MediaFile, metadata: Metadata | None) -> bool:
    """Replace the metadata of a file. Changes no other column. False if the file does not exist."""
    with write():
        changed = MediaFile.objects.filter(pk=file.pk).update(metadata=metadata)
        if changed:
            file.metadata = metadata
            audit_log.note(file, "Its metadata was changed.")
            text_index.index_file(file)
        sidecars.changed(file)
    return bool(changed)


@frees_space
def delete_file(file: MediaFile) -> bool:
    """Delete a file, and its Blob and bytes if no other file shares them. False if it does not exist."""
    with write():
        # Lock the Blob first, as store() does: an upload of equal bytes then waits, and finds no Blob.
        # Then the row, as a renaming does, before the texts by which it is found: they are deleted first.
        this = MediaFile.objects.filter(pk=file.pk)
        if (blob := lock_blob(this)) is None or not _locked(this):
            return False
        for act in file_deleting:
            act(file)
        Upload.objects.filter(file=file).update(idempotency_key="")  # the key may create a new file now
        deleted = this.delete()[1].get("uploads.MediaFile", 0)
        if deleted:
            audit_log.note(file, "Deleted.", audit_log.DELETION)
        sidecars.moved([file.pk], blob.sink, blob.key)
        is_last = not blob.files.exists()
        if is_last:
            blob.delete()
            bury(blob.sink, blob.key)
        transaction.on_commit(lambda: _finish_deletion(blob, file.pk, is_last=is_last))
    return bool(deleted)


def _locked(file: QuerySet[MediaFile]) -> bool:
    """Lock the row against changes. False if it does not exist."""
    return file.select_for_update(no_key=True).values_list("pk").first() is not None


def _finish_deletion(blob: Blob, file_id: uuid.UUID, *, is_last: bool) -> None:
    if is_last:
        reached(Step.ROW_DELETED)
    try:
        found = sink_named(blob.sink)
        sidecars.update(found, (blob.key, file_id))
    except SinkError:
        log.warning("sidecar_not_removed_yet", key=blob.key, exc_info=True)
        return
    if is_last:
        reached(Step.SIDECAR_DELETED)
        remove(found, blob.key)
        reached(Step.BYTES_DELETED)
