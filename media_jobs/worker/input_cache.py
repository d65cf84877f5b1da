"""Inputs that were fetched from a store in the network: a folder that all slots of a host share.

A file has its SHA-256 as its name, and only after its content was verified; until then `.partial` is added. The slot
that fetches it holds an exclusive lock (flock), and a slot whose job uses it a shared one. The kernel releases the
locks of a process that was killed. So a name without a lock is a file that nobody uses, or what a crash has left.

Files that nobody uses are kept for other jobs, and removed when the space is needed: those first that were not used
for longest. Names, sizes and locks are read from the folder: there is no index that could be wrong.
"""

import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import NoScratch
from ..queue.scheduling import Room

_PARTIAL = ".partial"
_LOCK = "lock"
_BLOCK = 512  # of st_blocks
_SHARE = 1 / 2  # of the disk, if no size is set; the other half is for outputs
_PAUSE, _MOMENT = 0.05, 2.0  # seconds

# Writes the content into a file, and raises an error if it is not what it should be.
Fetch = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    size: int  # that it has or will have
    on_disk: int
    used_at: float
    in_use: bool


@dataclass(frozen=True, slots=True)
class InputCache:
    root: Path
    free: Callable[[], int]  # bytes of its disk that may be used
    most: int | None = None  # bytes that all inputs may take; None: a share of the disk

    @contextmanager
    def held(self, sha256: str, size: int, fetch: Fetch, check: Callable[[], None]) -> Iterator[Path]:
        """The path of an input, which stays there meanwhile. It is fetched if it is not there.

        Calls `check` while it waits for another slot that fetches the same. Raises NoScratch if there is no room.
        """
        path = self.root / sha256
        fd = self._open(path) or self._fetch_once(path, size, fetch, check)
        try:
            yield path
        finally:
            os.close(fd)

    def room(self) -> Room:
        """What could be fetched now, if everything that nobody uses were removed."""
        try:
            with self._locked():
                entries = self._entries()
        except OSError:  # another slot was frozen or is slow, or the disk has no space for a folder: ask again
            return Room(0)
        size = max(0, self._budget(entries) - sum(entry.size for entry in entries if entry.in_use))
        return Room(size, [_sha256_of(entry) for entry in entries if entry.in_use and entry.size > size])

    def remove(self, is_needed: Callable[[Collection[str]], Collection[str]]) -> int:
        """Remove what a crash has left, and content that is not needed. Returns how many files were removed."""
        if not self.root.exists():
            return 0
        with self._locked():
            unused = [entry.path for entry in self._entries() if not entry.in_use]
            needed = is_needed({path.name for path in unused})
            return sum(_remove(path) for path in unused if path.name not in needed)

    def shrink(self) -> int:
        """While no byte is free, remove what nobody uses, as for a new input. Returns how many files were removed."""
        if self.free() > 0 or not self.root.exists():
            return 0
        removed = 0
        with self._locked():
            for entry in _unused(self._entries()):
                if self.free() > 0:
                    break
                removed += _remove(entry.path)
        return removed

    def _fetch_once(self, path: Path, size: int, fetch: Fetch, check: Callable[[], None]) -> int:
        """Fetch it, or wait for the slot that does. Returns an open file that holds the shared lock."""
        while True:
            with self._locked(check):
                if (found := self._open(path)) is not None:
                    return found
                fd = self._begin(path.with_name(path.name + _PARTIAL), size)
            if fd is not None:
                return self._fetch(fd, path, fetch, check)
            check()
            time.sleep(_PAUSE)

    def _begin(self, partial: Path, size: int) -> int | None:
        """Make an empty file of the final size, which reserves the space, and lock it. None: another slot has it."""
        if partial.exists() and not _remove(partial):
            return None
        self._make_room(size)
        fd = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.ftruncate(fd, size)
        return fd

    def _fetch(self, fd: int, path: Path, fetch: Fetch, check: Callable[[], None]) -> int:
        partial = path.with_name(path.name + _PARTIAL)
        try:
            fetch(fd)
            with self._locked(check):  # a lock is not exchanged in one step: nobody may remove the file meanwhile
                partial.rename(path)
                fcntl.flock(fd, fcntl.LOCK_SH)
        except BaseException:
            partial.unlink(missing_ok=True)
            os.close(fd)
            raise
        return fd

    def _open(self, path: Path) -> int | None:
        """An open file that holds the shared lock. None if there is no such file."""
        while True:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            fcntl.flock(fd, fcntl.LOCK_SH)  # exclusive ones are held for a moment only
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), path.stat()):
                    os.utime(fd)
                    return fd
            os.close(fd)  # it was removed before it was locked

    def _make_room(self, size: int) -> None:
        entries = self._entries()
        for oldest in _unused(entries):
            if self._has_room(size, entries):
                return
            if _remove(oldest.path):
                entries.remove(oldest)
        if not self._has_room(size, entries):
            raise NoScratch(size)

    def _has_room(self, size: int, entries: Collection[_Entry]) -> bool:
        # What is still to be written of inputs that others fetch is not free, either.
        promised = sum(max(0, entry.size - entry.on_disk) for entry in entries if entry.in_use)
        taken = sum(entry.size for entry in entries)
        return taken + size <= self._budget(entries) and promised + size <= self.free()

    def _budget(self, entries: Collection[_Entry]) -> int:
        disk = self.free() + sum(entry.on_disk for entry in entries)
        return int(disk * _SHARE) if self.most is None else min(self.most, disk)

    def _entries(self) -> list[_Entry]:
        found = []
        with suppress(FileNotFoundError):
            for path in self.root.iterdir():
                if path.name != _LOCK:
                    with suppress(FileNotFoundError):
                        state = path.stat()
                        in_use = _is_locked(path)
                        found.append(_Entry(path, state.st_size, state.st_blocks * _BLOCK, state.st_mtime, in_use))
        return found

    @contextmanager
    def _locked(self, check: Callable[[], None] | None = None) -> Iterator[None]:
        """One slot at a time looks for room, or changes names. No slot holds this while it fetches.

        Without `check`, which may raise to stop, it waits for a moment only. Raises TimeoutError.
        """
        until = time.monotonic() + _MOMENT
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while not _lock(fd):
                if check is not None:
                    check()
                elif time.monotonic() > until:
                    raise TimeoutError
                time.sleep(_PAUSE)
            yield
        finally:
            os.close(fd)


def _unused(entries: Collection[_Entry]) -> list[_Entry]:
    """Those first that were not used for longest."""
    return sorted((entry for entry in entries if not entry.in_use), key=lambda entry: entry.used_at)


def _lock(fd: int) -> bool:
    """Lock an open file exclusively, unless somebody has a lock on it. It is released when `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    """Whether it is in use, also by this process: locks belong to open files."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _lock(fd)
    finally:
        os.close(fd)


def _remove(path: Path) -> bool:
    """Remove a file, unless it is in use. Locked meanwhile: who opens it now sees that it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if not _lock(fd):
            return False
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)
    return True


def _sha256_of(entry: _Entry) -> str:
    return entry.path.name.removesuffix(_PARTIAL)
