"""Ingest rows of another database: the content of each becomes a file, and the row is deleted only if asked.

A row is known by its database, query, id, name and size. One that was ingested is not ingested again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import User

from ...content.hashing import Sha256
from ...errors import InvalidParams, StorageUnavailable
from ...models import Blob, MediaFile, Upload
from ...storage.blobs import stored_hash
from ..admission import Announcement, Presets
from .storing import Outcome, store_source
from .tables.base import Row, Table, Value


@dataclass(frozen=True, slots=True)
class RowSource:
    table: Table
    value: Value

    @property
    def size(self) -> int:
        return self.value.size

    def read(self, feed: Callable[[bytes], object], seen: Callable[[int], object]) -> None:
        for piece in self.table.pieces(self.value):
            feed(piece)
            seen(len(piece))

    def is_unchanged(self) -> bool:
        """Yes: it is read in one transaction, which sees no change."""
        return True


def ingest_row(
    table: Table,
    owner: User,
    row: Row,
    seen: Callable[[int], object],
    *,
    delete_by: str = "",
    presets: Presets = None,
) -> tuple[MediaFile, Outcome]:
    """Ingest one row, and verify what was stored. `delete_by`: a statement that then deletes the row by its id."""
    if row.name is None:
        raise InvalidParams("The name is NULL.")
    with table.open(row) as value:
        announcement = Announcement(
            owner=owner, name=row.name, protocol=Upload.Protocol.INGEST, route="ingest",
            size=value.size, key=_key_of(table, row, value), length=value.size, presets=presets,
        )  # fmt: skip
        file, outcome = store_source(RowSource(table, value), announcement, seen)
    if outcome is not Outcome.SKIPPED or delete_by:
        _verify(file)
    if delete_by:
        _delete(table, row, file, delete_by)
    return file, outcome


def _verify(file: MediaFile) -> None:
    """Read the stored bytes back. Their hash must be that of the bytes that came from the other database."""
    blob = Blob.objects.filter(files=file).first()  # read again: a restored blob has another key
    if blob is None or stored_hash(blob) != file.blob.sha256:
        raise StorageUnavailable("The stored bytes could not be verified. See `manage.py fsck --deep`.")


def _delete(table: Table, row: Row, file: MediaFile, statement: str) -> None:
    """Delete the row, unless its content is no longer that of the file, or the statement would change other rows."""
    with table.open(row, writable=True) as value:
        if _hash_of(table, value) != file.blob.sha256:
            raise InvalidParams("The row has changed since it was ingested. It was not deleted.")
        if not MediaFile.objects.filter(pk=file.pk).exists():
            raise StorageUnavailable("Its file was deleted meanwhile. The row was not deleted.")
        changed = table.change(statement, row.id)
        if changed != 1:
            raise InvalidParams(f"The delete query changed {changed} rows instead of one. This was undone.")


def _hash_of(table: Table, value: Value) -> str:
    found = Sha256()
    for piece in table.pieces(value):
        found.update(piece)
    return found.hexdigest()


def _key_of(table: Table, row: Row, value: Value) -> str:
    """The Idempotency-Key: the same for the same unchanged row, so that an interrupted run can be repeated."""
    identity = ("row", table.place, " ".join(table.query.split()), str(row.id), row.name, str(value.size))
    return hashlib.sha256("\0".join(map(str, identity)).encode("utf-8", "surrogateescape")).hexdigest()
