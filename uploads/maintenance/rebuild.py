"""Rebuild rows from a store: its sidecars name each file's content, name and owner.

Each change of a row is written to its sidecar within seconds, so normally both are equal. If they differ, an older
database was restored, and the sidecar is newer than the row.

An account is recognised by its username and creation time. An account with the same username and another creation
time is a different account: the files then belong to a new, inactive account.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from django.contrib.auth.models import User

from .. import text_index
from ..content.hashing import Sha256
from ..content.intake import UNKNOWN, Content
from ..content.sniffing import HEAD_SIZE, sniff
from ..hooks import file_stored
from ..models import Blob, MediaFile, SidecarChange
from ..runtime.database_connections import write
from ..sinks.base import NoSuchKey, Sink
from ..storage import sidecars
from ..storage.blobs import register
from ..storage.files import create_file
from ..storage.keys_in_use import arriving, named
from ..storage.sidecars import Sidecar, UnreadableSidecar, key_and_file, name_of, write_changed
from ..storage.tombstones import bury, remove
from ..transfers.completion import mark_complete

# The owner of content whose sidecar is missing.
NOBODY = ("recovered", datetime(1970, 1, 1, tzinfo=UTC))
_PIECE = 1024**2
_BATCH = 200
_LONGEST_NAME = 150  # of a username


@dataclass(slots=True)
class Report:
    files: int = 0
    updated: int = 0  # files whose name, metadata or key in the database was older
    by_key: list[str] = field(default_factory=list)  # content without a sidecar, which is named by its key
    lost: list[Sidecar] = field(default_factory=list)  # files with a sidecar but without bytes
    unreadable: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)  # that were created, inactive


def rebuild(*places: Sink, seen: Callable[[str], object] = lambda _: None) -> Report:
    """Create rows for everything in the stores that the database does not know. May be run again at any time."""
    report = Report()
    for place in places:
        _rebuild(place, report, seen)
    return report


def _rebuild(place: Sink, report: Report, seen: Callable[[str], object]) -> None:
    while SidecarChange.objects.filter(sink=place.name).exists():
        write_changed(place)  # files that were deleted last must not come back
    _take_back_from_quarantine(place)
    for sidecar, is_whole in _sidecars(place, report):
        file = MediaFile.objects.select_related("blob").filter(pk=sidecar.file).first()
        if file is not None:
            report.updated += is_whole and _bring_up_to_date(place, file, sidecar)
        elif is_whole:
            owner = _account(sidecar.owner, sidecar.owner_joined, report)
            with write():
                is_new = _is_newer_than_rows(place, sidecar)
                superfluous = _make_file(place, sidecar, owner) if is_new else ""
            remove(place, superfluous)
            report.files += is_new
            seen(sidecar.name)
        else:
            report.lost.append(sidecar)
    for key in list(_unnamed(place)):
        described, owner = _describe(place, key), _account(*NOBODY, report)
        with write():
            superfluous = _make_file(place, described, owner)
        remove(place, superfluous)
        report.by_key.append(key)
        seen(key)


def _take_back_from_quarantine(place: Sink) -> None:
    """Take back content whose sidecar had not been written when the sweep moved it."""
    waiting = {found.key: found for found in place.quarantine.entries() if not found.partial}
    for name in place.sidecars.of(waiting):
        if (found := waiting.pop(name.rpartition(".")[0], None)) and place.size(found.key) is None:
            place.quarantine.take_back(found)


def _sidecars(place: Sink, report: Report) -> Iterator[tuple[Sidecar, bool]]:
    """Iterate over the sidecars, each with whether its bytes are there."""
    names = (name for name in place.sidecars.names() if key_and_file(name) is not None)
    while batch := list(islice(names, _BATCH)):
        found = [sidecar for name in batch if (sidecar := _read(place, name, report)) is not None]
        sizes = place.sizes({sidecar.key for sidecar in found})
        for sidecar in found:
            yield sidecar, sizes.get(sidecar.key) == sidecar.size


def _read(place: Sink, name: str, report: Report) -> Sidecar | None:
    try:
        return Sidecar.parse(place.sidecars.read(name))
    except UnreadableSidecar:
        report.unreadable.append(name)
    except NoSuchKey:
        pass  # its file has just been deleted
    return None


def _unnamed(place: Sink) -> Iterator[str]:
    keys = (stored.key for stored in place.walk() if not stored.partial)
    while batch := set(islice(keys, _BATCH)):
        yield from batch - named(place, batch)


def _describe(place: Sink, key: str) -> Sidecar:
    """Describe content without a sidecar by reading all of it."""
    digest, size, head = Sha256(), 0, b""
    with place.open(key) as reader:
        while piece := reader.read(_PIECE):
            head = head or piece[:HEAD_SIZE]
            digest.update(piece)
            size += len(piece)
    media, now = sniff(head), datetime.now(UTC)
    kind, media_type = (media.kind.value, media.name) if media else ("", UNKNOWN)
    return Sidecar(
        uuid.uuid4(), key, *NOBODY, MediaFile.Origin.UPLOAD, now, key, digest.hexdigest(), size, kind, media_type, now
    )


def _is_newer_than_rows(place: Sink, sidecar: Sidecar) -> bool:
    """Whether a sidecar is up to date. While Millrace runs, a file may just have been renamed or deleted.

    Such a file has a SidecarChange until its sidecar is written, which then differs from the one read here.
    """
    if SidecarChange.objects.filter(file_id=sidecar.file).exists():
        return False
    try:
        return Sidecar.parse(place.sidecars.read(name_of(sidecar.key, sidecar.file))) == sidecar
    except (NoSuchKey, UnreadableSidecar):
        return False


def _make_file(place: Sink, sidecar: Sidecar, owner: User) -> str:
    """Create the rows of a file. Returns a superfluous key, to be removed after the transaction, or ""."""
    blob, superfluous = _register(place, sidecar)
    if blob.key == sidecar.key:
        Blob.objects.filter(pk=blob.pk).update(created_at=sidecar.stored_at)
    file = create_file(owner.pk, sidecar.name, blob, sidecar.origin, sidecar.file, sidecar.metadata)
    MediaFile.objects.filter(pk=file.pk).update(created_at=sidecar.created_at)
    sidecars.moved([file.pk], place.name, sidecar.key)
    for act in file_stored:
        act(file)
    # The upload of this file, if it was still arriving when the snapshot was taken.
    for upload in arriving(key=sidecar.key, owner=owner):
        mark_complete(upload, file)
    return superfluous


def _bring_up_to_date(place: Sink, file: MediaFile, sidecar: Sidecar) -> bool:
    """Update a row: after the restored snapshot, the file was renamed, described, moved, or sent again."""
    is_moved = (file.blob.sink, file.blob.key) != (place.name, sidecar.key)
    is_described = (file.name, file.metadata) != (sidecar.name, sidecar.metadata)
    if not is_moved and not is_described:
        return False
    superfluous = ""
    with write():
        MediaFile.objects.select_for_update().filter(pk=file.pk).first()
        if not _is_newer_than_rows(place, sidecar):
            return False
        MediaFile.objects.filter(pk=file.pk).update(name=sidecar.name, metadata=sidecar.metadata)
        text_index.index_file(MediaFile.objects.get(pk=file.pk))
        if is_moved:
            blob, superfluous = _register(place, sidecar)
            _change_blob(file, blob)
        sidecars.moved([file.pk], place.name, sidecar.key)
        sidecars.moved([file.pk], file.blob.sink, file.blob.key)
    remove(place, superfluous)
    return True


def _change_blob(file: MediaFile, blob: Blob) -> None:
    """After the restored snapshot, the bytes were moved to another store."""
    old = file.blob
    if blob.pk == old.pk:
        return
    MediaFile.objects.filter(pk=file.pk).update(blob=blob)
    Blob.objects.filter(pk=blob.pk, facts__isnull=True).update(facts=old.facts)
    if not old.files.exists():
        old.delete()
        bury(old.sink, old.key)


def _register(place: Sink, sidecar: Sidecar) -> tuple[Blob, str]:
    # A claim of this key is older than the sidecar, which was written after the claim became a file.
    Blob.objects.filter(sink=place.name, key=sidecar.key, state=Blob.State.STORING).delete()
    content = Content(sidecar.sha256, sidecar.size, sidecar.kind, sidecar.media_type)
    return register(sidecar.key, content, None, place)


def _account(name: str, joined: datetime, report: Report) -> User:
    alike = [name, *(f"{name[: _LONGEST_NAME - 20]}-recovered{number or ''}" for number in range(100))]
    taken = {user.username: user for user in User.objects.filter(username__in=alike)}
    for user in taken.values():
        if user.date_joined == joined:
            return user
    free = next(other for other in alike if other not in taken)
    user = User(username=free, is_active=False, date_joined=joined)
    user.set_unusable_password()
    user.save(force_insert=True)
    report.accounts.append(free)
    return user
