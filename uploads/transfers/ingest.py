"""Files that are on the server already become ours by the same way as any upload: announced, hashed, stored."""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from django.contrib.auth.models import User

from ..conf import sink, sink_named
from ..content.intake import Intake
from ..errors import InvalidParams, StorageUnavailable
from ..models import Blob, MediaFile, Upload
from ..sinks.base import Writer
from ..sinks.local.sink import LocalSink
from ..storage.blobs import heal_blob, is_whole, new_key
from .admission import Announcement, Replay
from .disk_space import check_unreserved
from .reception import Reception, storage_refusals
from .server_files import Source, open_source, state_of

_CHANGED = "The file was changed while it was read."


class Mode(StrEnum):
    COPY = "copy"
    MOVE = "move"
    LINK = "link"


class Outcome(StrEnum):
    TAKEN = "taken in"
    SKIPPED = "in already"
    HEALED = "healed"  # it was in already, and its bytes were lost


class LinkWriter(Writer):
    """Instead of writing what it is fed, gives the source itself a second name in the sink."""

    def __init__(self, into: LocalSink, source: Source) -> None:
        self._into, self._source = into, source
        self.key, self.offset = new_key(), 0

    def write(self, data: bytes | memoryview) -> None:
        self.offset += len(data)

    def commit(self) -> None:
        if not self._source.is_unchanged() or not self._into.adopt(self._source.path, self.key):
            raise InvalidParams(_CHANGED)
        # It was linked by its path, which may mean another file by now, or a symbolic link.
        if state_of(self._into.local_path(self.key).lstat()) != self._source.state:
            self._into.delete(self.key)
            raise InvalidParams(_CHANGED)

    def abort(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """Nothing is held."""


def ingest(path: Path, owner: User, mode: Mode, seen: Callable[[int], object]) -> tuple[MediaFile, Outcome]:
    """Take one file in. One that was taken in before, unchanged, is left as it is, unless its bytes are lost."""
    with open_source(path, follow_link=mode is Mode.COPY) as source:
        announcement = Announcement(
            owner=owner, name=path.name, protocol=Upload.Protocol.INGEST, route="ingest",
            size=source.size, key=_key_of(source), length=source.size,
        )  # fmt: skip
        try:
            file, outcome = _take_in(source, announcement, mode, seen), Outcome.TAKEN
        except Replay as replay:
            file, outcome = replay.file, Outcome.SKIPPED
            if not _is_kept(file):
                _heal(source, file, mode, seen)
                outcome = Outcome.HEALED
        if mode is Mode.MOVE:
            _remove(source, file)
    return file, outcome


def _take_in(source: Source, announcement: Announcement, mode: Mode, seen: Callable[[int], object]) -> MediaFile:
    with Reception.open(announcement, _linker(source, mode)) as reception:
        source.read(reception.feed, seen)
        if reception.seal().size != source.size or not source.is_unchanged():
            raise InvalidParams(_CHANGED)
        return reception.commit()


def _heal(source: Source, file: MediaFile, mode: Mode, seen: Callable[[int], object]) -> None:
    """Bring back the bytes that the storage has lost.

    This is no Upload: the file counts towards its owner's quota already, and none is made.
    """
    with storage_refusals():
        linker = _linker(source, mode)
        check_unreserved(sink(), 0 if linker else source.size)
        with linker or sink().create(new_key(), size=source.size) as writer:
            intake = Intake(writer, grow=_refuse_more, granted=source.size)
            source.read(intake.feed, seen)
            content = intake.finish()
            if not source.is_unchanged():
                raise InvalidParams(_CHANGED)
            if content.sha256 != file.blob.sha256:
                raise InvalidParams(
                    "It was taken in before with the same size and date, but another content, which is lost. "
                    "Touch the file to have it taken in as a new one."
                )
            heal_blob(writer, content)
    if not _is_kept(file):
        raise StorageUnavailable("The file was deleted while its bytes were brought back. Start again.")


def _refuse_more(_: int) -> NoReturn:
    raise InvalidParams(_CHANGED)


def _is_kept(file: MediaFile) -> bool:
    """Whether the file is there, with its bytes."""
    blob = Blob.objects.filter(files=file).first()
    with storage_refusals():
        return blob is not None and is_whole(blob)


def _remove(source: Source, file: MediaFile) -> None:
    """Take away the original. It may be the last good copy, or by now something else that nobody has read."""
    if not source.is_unchanged():
        raise InvalidParams("It was changed after it was read, and is left where it is.")
    if not _is_kept(file):
        raise StorageUnavailable("What was stored of it is gone again, so it is left where it is.")
    source.path.unlink()
    with storage_refusals():
        for blob in Blob.objects.filter(files=file):  # not as read: it may be healed
            if isinstance(found := sink_named(blob.sink), LocalSink):
                found.set_own_mode(blob.key)


def _linker(source: Source, mode: Mode) -> Writer | None:
    """A move within one filesystem need not copy either: it links, and takes the old name away afterwards."""
    place = sink()
    if isinstance(place, LocalSink) and mode is not Mode.COPY and source.is_on_disk_of(place.root):
        return LinkWriter(place, source)
    if mode is Mode.LINK:
        raise InvalidParams("A hard link needs the file on the disk where files are kept. Copy or move it.")
    return None


def _key_of(source: Source) -> str:
    """The same file, unchanged, has the same key: so a run that was broken off can simply be started again."""
    said = "\0".join(map(str, (source.path.absolute(), *source.state[1:])))
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()
