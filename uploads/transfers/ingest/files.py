"""Ingest files that are on the server already: copy, move or hard-link them into the store."""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path

from django.contrib.auth.models import User

from ...errors import InvalidParams, StorageUnavailable
from ...models import Blob, MediaFile, Upload
from ...sinks.base import Writer
from ...sinks.local.sink import LocalSink
from ...storage.blobs import new_key
from ...storage.stores import sink, sink_named
from ..admission import Announcement, Presets
from ..reception import storage_refusals
from .server_files import Source, open_source, state_of
from .storing import Outcome, is_stored, store_source

_CHANGED = "The file was changed while it was being read."


class Mode(StrEnum):
    COPY = "copy"
    MOVE = "move"
    LINK = "link"


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


def ingest_file(
    path: Path, owner: User, mode: Mode, seen: Callable[[int], object], *, presets: Presets = None
) -> tuple[MediaFile, Outcome]:
    """Ingest one file. Skip a file that was ingested before and is unchanged, unless its bytes are lost."""
    with open_source(path, follow_link=mode is Mode.COPY) as source:
        announcement = Announcement(
            owner=owner, name=path.name, protocol=Upload.Protocol.INGEST, route="ingest",
            size=source.size, key=_key_of(source), length=source.size, presets=presets,
        )  # fmt: skip
        file, outcome = store_source(source, announcement, seen, partial(_linker, source, mode))
        if mode is Mode.MOVE:
            _remove(source, file)
    return file, outcome


def _remove(source: Source, file: MediaFile) -> None:
    """Remove the original, unless it has changed or the stored copy is gone: it may be the last good copy."""
    if not source.is_unchanged():
        raise InvalidParams("The file was changed after it was read. It was not removed.")
    if not is_stored(file):
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
