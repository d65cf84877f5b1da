"""The sidecar of a file: a small JSON object in the store that says whose bytes these are, and under what name.

With them a store explains itself: `rebuild` makes the rows anew when the database is lost. A change of a file puts a
SidecarChange into its transaction; a chore brings the store up to it within seconds.
"""

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from django.db.models import QuerySet

from ..models import MediaFile, SidecarChange
from ..sinks.base import Sink

_VERSION = 1
_BATCH = 200
_LONGEST = 1.0  # seconds that one run of the chore may take: others wait for their turn


class UnreadableSidecar(ValueError):
    """It is damaged, or written by a later version."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    file: uuid.UUID
    name: str
    owner: str
    # Tells one account from another that was given the same name later.
    owner_joined: datetime
    origin: str
    created_at: datetime
    key: str
    sha256: str
    size: int
    kind: str
    media_type: str
    stored_at: datetime

    @classmethod
    def of(cls, file: MediaFile) -> Self:
        blob = file.blob
        return cls(
            file.pk, file.name, file.owner.username, file.owner.date_joined, file.origin, file.created_at,
            blob.key, blob.sha256, blob.size, blob.kind, blob.media_type, blob.created_at,
        )  # fmt: skip

    @classmethod
    def parse(cls, content: bytes) -> Self:
        try:
            said: dict[str, Any] = json.loads(content)
            if said.pop("version") != _VERSION:
                raise UnreadableSidecar("It was written by another version of Millrace.")
            dates = {name: datetime.fromisoformat(said[name]) for name in ("owner_joined", "created_at", "stored_at")}
            return cls(**said | dates | {"file": uuid.UUID(said["file"]), "size": int(said["size"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableSidecar(str(error)) from error

    def encoded(self) -> bytes:
        said = {"version": _VERSION, **asdict(self)}
        return json.dumps(said, default=_as_text, ensure_ascii=False, indent=1).encode()


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def name_of(key: str, file_id: uuid.UUID) -> str:
    return f"{key}.{file_id}"


def key_and_file(name: str) -> tuple[str, uuid.UUID] | None:
    """What a sidecar's name says; None for a name that no sidecar of ours has."""
    key, _, file_id = name.rpartition(".")
    try:
        return (key, uuid.UUID(file_id)) if key else None
    except ValueError:
        return None


def changed(*files: MediaFile) -> None:
    """These files were made, renamed or deleted. In the transaction that does so."""
    SidecarChange.objects.bulk_create(_change(file.blob.sink, file.blob.key, file.pk) for file in files)


def all_changed(files: QuerySet[MediaFile]) -> None:
    """The same of many, whatever is new about them: their owner's name, say."""
    found = files.values_list("blob__sink", "blob__key", "pk")
    SidecarChange.objects.bulk_create((_change(*one) for one in found.iterator()), batch_size=1000)


def moved(files: Iterable[uuid.UUID], sink: str, *keys: str) -> None:
    """The bytes of these files are under another of these keys now."""
    SidecarChange.objects.bulk_create(_change(sink, key, file) for file in files for key in keys)


def _change(sink: str, key: str, file_id: uuid.UUID) -> SidecarChange:
    return SidecarChange(sink=sink, key=key, file_id=file_id)


def write_changed(place: Sink) -> int:
    """The chore: bring the store up to the changes that wait."""
    waiting = SidecarChange.objects.filter(sink=place.name).order_by("pk")
    done, until = 0, time.monotonic() + _LONGEST
    while time.monotonic() < until and (batch := list(waiting[:_BATCH])):
        update(place, *{(change.key, change.file_id) for change in batch})
        done += SidecarChange.objects.filter(pk__in=[change.pk for change in batch]).delete()[0]
    return done


def update(place: Sink, *changed: tuple[str, uuid.UUID]) -> None:
    """Make the sidecars of these keys and files say what the rows say; remove them where there is no such file.

    Looked at again after the writing: another process may have written what was so a moment before.
    """
    todo, written = set(changed), dict[tuple[str, uuid.UUID], Sidecar | None]()
    while todo:
        said = _say_rows(todo)
        todo = {one for one in todo if one not in written or written[one] != said.get(one)}
        for one in todo:
            written[one] = said.get(one)
            _write(place, name_of(*one), said.get(one))


def _write(place: Sink, name: str, sidecar: Sidecar | None) -> None:
    if sidecar is None:
        place.sidecars.delete(name)
    else:
        place.sidecars.write(name, sidecar.encoded())


def _say_rows(wanted: set[tuple[str, uuid.UUID]]) -> dict[tuple[str, uuid.UUID], Sidecar]:
    """What the sidecars of those that there are should say. In one query: it is asked of each new file."""
    files = MediaFile.objects.select_related("blob", "owner").filter(pk__in={file_id for _, file_id in wanted})
    return {(file.blob.key, file.pk): Sidecar.of(file) for file in files if (file.blob.key, file.pk) in wanted}
