"""Sidecars: a small JSON object in the store for each file, with its name, owner and dates.

`manage.py rebuild` recreates the rows from them if the database is lost. Each change of a file inserts a
SidecarChange in its transaction; a chore then writes the sidecar within seconds.
"""

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from django.db.models import QuerySet

from ..models import MediaFile, SidecarChange
from ..runtime.database_connections import write
from ..sinks.base import Sink
from ..text.client_metadata import Metadata

_VERSION = 1
_BATCH = 200
_LONGEST = 1.0  # seconds that one run of the chore may take: other chores wait for it


class UnreadableSidecar(ValueError):
    """The sidecar is damaged, or written by a later version."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    file: uuid.UUID
    name: str
    owner: str
    # Distinguishes the account from a later one with the same name.
    owner_joined: datetime
    origin: str
    created_at: datetime
    key: str
    sha256: str
    size: int
    kind: str
    media_type: str
    stored_at: datetime
    metadata: Metadata | None = None

    @classmethod
    def of(cls, file: MediaFile) -> Self:
        blob = file.blob
        return cls(
            file.pk, file.name, file.owner.username, file.owner.date_joined, file.origin, file.created_at,
            blob.key, blob.sha256, blob.size, blob.kind, blob.media_type, blob.created_at,
            file.metadata,
        )  # fmt: skip

    @classmethod
    def parse(cls, content: bytes) -> Self:
        try:
            found: dict[str, Any] = json.loads(content)
            if found.pop("version") != _VERSION:
                raise UnreadableSidecar("It was written by another version of Millrace.")
            if not isinstance(found.get("metadata"), dict | None):
                raise UnreadableSidecar("Its metadata is no object.")
            dates = {
                name: datetime.fromisoformat(found[name]) for name in ("owner_joined", "created_at", "stored_at")
            }
            return cls(**found | dates | {"file": uuid.UUID(found["file"]), "size": int(found["size"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableSidecar(str(error)) from error

    def encoded(self) -> bytes:
        content = {"version": _VERSION, **asdict(self)}
        if self.metadata is None:
            del content["metadata"]  # as in sidecars of earlier versions, which can read this one
        return json.dumps(content, default=_as_text, ensure_ascii=False, indent=1).encode()


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def name_of(key: str, file_id: uuid.UUID) -> str:
    return f"{key}.{file_id}"


def key_and_file(name: str) -> tuple[str, uuid.UUID] | None:
    """Parse the name of a sidecar. None if it has another form."""
    key, _, file_id = name.rpartition(".")
    try:
        return (key, uuid.UUID(file_id)) if key else None
    except ValueError:
        return None


def changed(*files: MediaFile) -> None:
    """Schedule the sidecars of files that were created, renamed or described. To be called in that transaction."""
    SidecarChange.objects.bulk_create(_change(file.blob.sink, file.blob.key, file.pk) for file in files)


def all_changed(files: QuerySet[MediaFile]) -> None:
    """Schedule the sidecars of many files, for example when their owner was renamed."""
    found = files.values_list("blob__sink", "blob__key", "pk")
    SidecarChange.objects.bulk_create((_change(*one) for one in found.iterator()), batch_size=1000)


def moved(files: Iterable[uuid.UUID], sink: str, *keys: str) -> None:
    """Schedule the sidecars of files for each of these keys: their bytes moved from one key to another."""
    SidecarChange.objects.bulk_create(_change(sink, key, file) for file in files for key in keys)


def _change(sink: str, key: str, file_id: uuid.UUID) -> SidecarChange:
    return SidecarChange(sink=sink, key=key, file_id=file_id)


def write_changed(sink: Sink) -> int:
    """The chore: write and delete the sidecars that are scheduled."""
    waiting = SidecarChange.objects.filter(sink=sink.name).order_by("pk")
    done, until = 0, time.monotonic() + _LONGEST
    while time.monotonic() < until and (batch := list(waiting[:_BATCH])):
        update(sink, *{(change.key, change.file_id) for change in batch})
        with write():
            _follow(batch)
            done += SidecarChange.objects.filter(pk__in=[change.pk for change in batch]).delete()[0]
    return done


def _follow(batch: Sequence[SidecarChange]) -> None:
    """Schedule the sidecars of files that have moved since their change was scheduled: those have to tell it, too."""
    known = {(change.sink, change.key, change.file_id) for change in batch}
    files = MediaFile.objects.filter(pk__in={change.file_id for change in batch})
    places = files.values_list("blob__sink", "blob__key", "pk")
    SidecarChange.objects.bulk_create(_change(*place) for place in places if place not in known)


def update(sink: Sink, *changed: tuple[str, uuid.UUID]) -> None:
    """Write the sidecars of these keys and files from the rows; delete those whose file does not exist.

    Reads the rows again after writing: another process may have written an older state meanwhile.
    """
    todo, written = set(changed), dict[tuple[str, uuid.UUID], Sidecar | None]()
    while todo:
        wanted = _from_rows(sink, todo)
        todo = {one for one in todo if one not in written or written[one] != wanted.get(one)}
        for one in todo:
            written[one] = wanted.get(one)
            _write(sink, name_of(*one), wanted.get(one))


def _write(sink: Sink, name: str, sidecar: Sidecar | None) -> None:
    if sidecar is None:
        sink.sidecars.delete(name)
    else:
        sink.sidecars.write(name, sidecar.encoded())


def _from_rows(sink: Sink, wanted: set[tuple[str, uuid.UUID]]) -> dict[tuple[str, uuid.UUID], Sidecar]:
    """Return the sidecars of those files that exist. One query, as it runs for each new file."""
    files = MediaFile.objects.select_related("blob", "owner").filter(
        pk__in={file_id for _, file_id in wanted}, blob__sink=sink.name
    )
    return {(file.blob.key, file.pk): Sidecar.of(file) for file in files if (file.blob.key, file.pk) in wanted}
