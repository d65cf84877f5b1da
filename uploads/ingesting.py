"""Files that are on the server already become ours by the same way as any upload: announced, hashed, stored."""

import hashlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from django.contrib.auth.models import User

from .admitting import Announcement, Replay
from .conf import sink
from .errors import InvalidParams
from .models import MediaFile, Upload
from .receiving import Reception
from .sinks.base import Writer
from .sinks.local import LocalSink
from .storage.blobs import new_key

_PIECE = 1024**2


class Mode(StrEnum):
    COPY = "copy"
    MOVE = "move"
    LINK = "link"


class LinkWriter(Writer):
    """Instead of writing what it is fed, gives the source itself a second name in the sink."""

    def __init__(self, into: LocalSink, source: Path) -> None:
        self._into, self._source = into, source
        self._seen = _state_of(source)
        self.key, self.offset = new_key(), 0

    def write(self, data: bytes | memoryview) -> None:
        self.offset += len(data)

    def commit(self) -> None:
        if _state_of(self._source) != self._seen:
            raise InvalidParams("The file was changed while it was read.")
        self._into.adopt(self._source, self.key)

    def abort(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """Nothing is held."""


def find_files(paths: list[Path]) -> Iterator[Path]:
    """The files named, and those below the folders named, in a stable order. Links are not followed."""
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.is_file() and not found.is_symlink())
        else:
            yield path


def ingest(path: Path, owner: User, mode: Mode, seen: Callable[[int], object]) -> tuple[MediaFile, bool]:
    """Take one file in. Says also whether it had been taken before, unchanged: then it is left as it is."""
    state = _state_of(path)
    announcement = Announcement(
        owner=owner, name=path.name, protocol=Upload.Protocol.INGEST, route="ingest",
        size=state.size, key=_key_of(path, state), length=state.size,
    )  # fmt: skip
    try:
        with (
            Reception.open(announcement, _linker(path, mode)) as reception,
            path.open("rb", buffering=0) as source,
        ):
            while piece := source.read(_PIECE):
                reception.feed(piece)
                seen(len(piece))
            if reception.seal().size != announcement.size or _state_of(path) != state:
                raise InvalidParams("The file was changed while it was read.")
            file, before = reception.commit(), False
    except Replay as replay:
        file, before = replay.file, True
    if mode is Mode.MOVE:
        path.unlink()  # only now: it is stored, or was
    return file, before


def _linker(path: Path, mode: Mode) -> Writer | None:
    """A move within one filesystem need not copy either: it links, and takes the old name away afterwards."""
    place = sink()
    same_disk = isinstance(place, LocalSink) and path.stat().st_dev == place.root.stat().st_dev
    if isinstance(place, LocalSink) and same_disk and mode is not Mode.COPY:
        return LinkWriter(place, path)
    if mode is Mode.LINK:
        raise InvalidParams("A hard link needs the file on the disk where files are kept. Copy or move it.")
    return None


def _key_of(path: Path, state: "_State") -> str:
    """The same file, unchanged, has the same key: so a run that was broken off can simply be started again."""
    said = "\0".join(map(str, (path.absolute(), *state)))
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()


class _State(NamedTuple):
    """What differs when a file is not the same any more."""

    inode: int
    size: int
    modified: int


def _state_of(path: Path) -> _State:
    found = path.stat()
    return _State(found.st_ino, found.st_size, found.st_mtime_ns)
