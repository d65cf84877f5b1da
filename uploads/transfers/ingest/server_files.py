"""Files on this server that can be ingested: find, open and watch them. Leaves out Millrace's own files."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.db import connection

from ...conf import limits
from ...errors import InvalidParams

_PIECE = 1024**2
# Device, inode, size and modification time of a file. They differ for another file, and after a change.
State = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """A regular file that is open for reading."""

    path: Path
    file: BinaryIO
    state: State

    @property
    def size(self) -> int:
        return self.state[2]

    def is_on_disk_of(self, folder: Path) -> bool:
        identity = _identity(folder)
        return identity is not None and identity[0] == self.state[0]

    def read(self, feed: Callable[[bytes], object], seen: Callable[[int], object]) -> None:
        while piece := self.file.read(_PIECE):
            feed(piece)
            seen(len(piece))

    def is_unchanged(self) -> bool:
        """Whether the file has not been written to, and its path still names it."""
        try:
            named = state_of(self.path.stat())
        except FileNotFoundError:
            return False
        return named == state_of(os.fstat(self.file.fileno())) == self.state


def find_files(paths: Iterable[Path], left_out: Callable[[Path], object]) -> Iterator[Path]:
    """Yield the named files, and all files in the named folders except symbolic links, in a stable order.

    Calls `left_out` with each path in these folders that belongs to Millrace itself. Unreadable files and folders are
    included: opening them reports the error.
    """
    own = _own_places()
    for path in paths:
        found = _find(path)
        if found and stat.S_ISDIR(found.st_mode) and not _is_own(path, own):
            yield from _find_below(path, own, left_out)
        else:
            yield path


def _find_below(folder: Path, own: set[tuple[int, int]], left_out: Callable[[Path], object]) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        yield folder
        return
    for entry in entries:
        found = _find(entry, follow_link=False)
        if found is None:
            yield entry
        elif (found.st_dev, found.st_ino) in own:
            left_out(entry)
        elif stat.S_ISDIR(found.st_mode):
            yield from _find_below(entry, own, left_out)
        elif not stat.S_ISLNK(found.st_mode):
            yield entry


def _own_places() -> set[tuple[int, int]]:
    """Device and inode of the files and folders with Millrace's own data, which several paths may name."""
    paths = [limits().media_root, *limits().private, *database_files()]
    return {identity for path in paths if (identity := _identity(path))}


def database_files() -> list[Path]:
    """The files of an SQLite database, including those that exist only at times."""
    if connection.vendor != "sqlite":
        return []
    return [Path(f"{connection.settings_dict['NAME']}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]


def _is_own(path: Path, own: set[tuple[int, int]]) -> bool:
    resolved = path.resolve()
    return not own.isdisjoint(filter(None, map(_identity, (resolved, *resolved.parents))))


def _identity(path: Path) -> tuple[int, int] | None:
    found = _find(path)
    return None if found is None else (found.st_dev, found.st_ino)


def _find(path: Path, *, follow_link: bool = True) -> os.stat_result | None:
    """The status of a path; None if it does not exist or cannot be read."""
    try:
        return path.stat(follow_symlinks=follow_link)
    except OSError:
        return None


@contextmanager
def open_source(path: Path, *, follow_link: bool) -> Iterator[Source]:
    """Open a file for ingesting, or refuse it with the reason."""
    if _is_own(path, _own_places()):
        raise InvalidParams("This belongs to Millrace itself. Choose other files.")
    if not follow_link and path.is_symlink():
        raise InvalidParams("This is a symbolic link. Name the file itself, or copy it.")
    _require_regular(path.stat())  # before it is opened: opening a device may have effects, and a pipe waits
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_link else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        _require_regular(found)
        yield Source(path, file, state_of(found))


def _require_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise InvalidParams("This is a folder that cannot be read.")  # else it would have been replaced by its files
    if not stat.S_ISREG(found.st_mode):
        raise InvalidParams("This is not a regular file.")


def state_of(found: os.stat_result) -> State:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
