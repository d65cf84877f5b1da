"""Ingest files that are on the server already, by the same path as any upload: admit, hash, store."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from django.contrib.auth.models import User

from ..conf import virus_scan
from ..content.intake import Intake
from ..errors import InvalidParams, StorageUnavailable
from ..models import Blob, MediaFile, Upload
from ..sinks.base import Writer
from ..sinks.local.sink import LocalSink
from ..storage.blobs import heal_blob, is_whole, new_key
from ..storage.stores import sink, sink_named
from .admission import Announcement
from .disk_space import check_unreserved
from .idempotency import Replay
from .reception import Reception, storage_refusals
from .server_files import Source, open_source, state_of

_CHANGED = "The file was changed while it was being read."


class Mode(StrEnum):
    COPY = "copy"
    MOVE = "move"
    LINK = "link"


class Outcome(StrEnum):
    INGESTED = "ingested"
    SKIPPED = "already stored"
    RESTORED = "restored"  # it was ingested before, and its bytes were lost


class LinkWriter(Writer):
    """Links the source into the sink instead of writing the bytes it is given."""

    def __init__(self, into: LocalSink, source: Source) -> None:
        self._into, self._source = into, source
        self.key, self.offset = new_key(), 0

    def write(self, data: bytes | memoryview) -> None:
        self.offset += len(data)

    def commit(self) -> None:
        if not self._source.is_unchanged() or not self._into.adopt(self._source.path, self.key):
            raise InvalidParams(_CHANGED)
        # The link was made by path, which may by now name another file, or a symbolic link.
        if state_of(self._into.local_path(self.key).lstat()) != self._source.state:
            self._into.delete(self.key)
            raise InvalidParams(_CHANGED)

    def abort(self) -> None:
        """No-op: nothing was written."""

    def close(self) -> None:
        """No-op: nothing is open."""


def ingest(path: Path, owner: User, mode: Mode, seen: Callable[[int], object]) -> tuple[MediaFile, Outcome]:
    """Ingest one file. Skip a file that was ingested before and is unchanged, unless its bytes are lost."""
    with open_source(path, follow_link=mode is Mode.COPY) as source:
        announcement = Announcement(
            owner=owner, name=path.name, protocol=Upload.Protocol.INGEST, route="ingest",
            size=source.size, key=_key_of(source), length=source.size,
        )  # fmt: skip
        try:
            file, outcome = _store(source, announcement, mode, seen), Outcome.INGESTED
        except Replay as replay:
            file, outcome = replay.file, Outcome.SKIPPED
            if not _is_stored(file):
                _restore(source, file, mode, seen)
                outcome = Outcome.RESTORED
        if mode is Mode.MOVE:
            _remove(source, file)
    return file, outcome


def _store(source: Source, announcement: Announcement, mode: Mode, seen: Callable[[int], object]) -> MediaFile:
    with Reception.open(announcement, _linker(source, mode)) as reception:
        source.read(reception.feed, seen)
        if reception.seal().size != source.size or not source.is_unchanged():
            raise InvalidParams(_CHANGED)
        return reception.commit()


def _restore(source: Source, file: MediaFile, mode: Mode, seen: Callable[[int], object]) -> None:
    """Bring back the bytes of a file that the storage has lost.

    No Upload is created: the file exists, and counts towards its owner's quota already.
    """
    with storage_refusals():
        linker = _linker(source, mode)
        check_unreserved(sink(), 0 if linker else source.size)
        with linker or sink().create(new_key(), size=source.size) as writer:
            with closing(Intake(writer, grow=_refuse_more, granted=source.size, scan=virus_scan())) as intake:
                source.read(intake.feed, seen)
                content = intake.finish()
            if not source.is_unchanged():
                raise InvalidParams(_CHANGED)
            if content.sha256 != file.blob.sha256:
                raise InvalidParams(
                    "A file with the same path, size and date but different content was ingested before, and its "
                    "bytes are lost. Change the date of this file (touch) to ingest it as a new one."
                )
            heal_blob(writer, content)
    if not _is_stored(file):
        raise StorageUnavailable("The file was deleted while its bytes were being restored. Run the command again.")


def _refuse_more(_: int) -> NoReturn:
    raise InvalidParams(_CHANGED)


def _is_stored(file: MediaFile) -> bool:
    """Whether the file exists and its bytes are stored."""
    blob = Blob.objects.filter(files=file).first()
    with storage_refusals():
        return blob is not None and is_whole(blob)


def _remove(source: Source, file: MediaFile) -> None:
    """Remove the original, unless it has changed or the stored copy is gone: it may be the last good copy."""
    if not source.is_unchanged():
        raise InvalidParams("The file was changed after it was read. It was not removed.")
    if not _is_stored(file):
        raise StorageUnavailable("Its stored copy is gone. The file was not removed.")
    source.path.unlink()
    with storage_refusals():
        for blob in Blob.objects.filter(files=file):  # read again: a restored blob has another key
            if isinstance(found := sink_named(blob.sink), LocalSink):
                found.set_own_mode(blob.key)


def _linker(source: Source, mode: Mode) -> Writer | None:
    """A Writer that links, for `--link`, and for `--move` within one filesystem. None: copy."""
    place = sink()
    if isinstance(place, LocalSink) and mode is not Mode.COPY and source.is_on_disk_of(place.root):
        return LinkWriter(place, source)
    if mode is Mode.LINK:
        raise InvalidParams("A hard link needs a file on the filesystem of the storage. Copy or move it instead.")
    return None


def _key_of(source: Source) -> str:
    """The Idempotency-Key: the same for the same unchanged file, so that an interrupted run can be repeated."""
    identity = "\0".join(map(str, (source.path.absolute(), *source.state[1:])))
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
