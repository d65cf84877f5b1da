"""Bytes on a local disk: `ROOT/ab/KEY` once committed, `ROOT/partial/KEY` while a resumable write is open, and
`ROOT/partial/KEY.note` what is noted beside it.

A one-shot write has no name until it is whole: it goes to an anonymous file, which the kernel removes with the
process that held it. Where the filesystem has none, it is a partial like any other.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from ..steps import Step, reached
from .base import Held, NoSuchKey, Sink, SinkError, SinkFull, Stored, Writer
from .writeback import WriteBack

PARTIAL = "partial"
NOTE = ".note"
# A note is as long as the longest, always: it is replaced by one write, which no kill can cut in two.
_NOTE_SIZE = 1024
MARKER = ".millrace-sink"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ANONYMOUS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}


@contextlib.contextmanager
def sink_errors() -> Iterator[None]:
    """What the system says of the disk, in the words of the contract."""
    try:
        yield
    except OSError as error:
        kind = SinkFull if error.errno in _FULL else SinkError
        raise kind(error.strerror or "the disk failed") from error


class LocalWriter(Writer):
    def __init__(self, sink: "LocalSink", key: str, fd: int, *, named: bool, resumable: bool) -> None:
        self._sink, self._fd, self._named, self.resumable = sink, fd, named, resumable
        self.key, self.offset = key, os.fstat(fd).st_size
        self._writeback = WriteBack(fd, self.offset)
        self._note_fd = -1

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        with sink_errors():
            while rest:
                written = os.write(self._fd, rest)
                self.offset += written
                rest = rest[written:]
        self._writeback.wrote(self.offset)

    def cut(self, offset: int) -> None:
        with sink_errors():
            os.ftruncate(self._fd, offset)
        self.offset = offset
        self._writeback = WriteBack(self._fd, offset)

    def note(self, text: str) -> None:
        if self._fd < 0:
            return  # the bytes may have been committed: a note would be left over
        with sink_errors():
            if self._note_fd < 0:
                flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
                self._note_fd = os.open(self._sink.note_path(self.key), flags, 0o600)
            os.pwrite(self._note_fd, text.encode().ljust(_NOTE_SIZE), 0)

    def commit(self) -> None:
        if self._fd < 0:
            return
        try:
            with sink_errors():
                os.fdatasync(self._fd)
                reached(Step.SYNCED)
                self._sink.publish(self.key, self._fd, named=self._named)
        except SinkError:
            self.close()
            raise
        self._release()

    def abort(self) -> None:
        if self._fd < 0:
            return
        try:
            if self._named:
                # Before the lock goes with the descriptor: nobody may begin to use what is about to vanish.
                with sink_errors():
                    self._sink.unlink_partial(self.key)
        finally:
            self._release()

    def close(self) -> None:
        if not self.resumable:
            self.abort()
        self._release()

    def _release(self) -> None:
        for fd in (self._fd, self._note_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._note_fd = -1


class LocalSink(Sink):
    name = "local"

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def partial_path(self, key: str) -> Path:
        return self.root / PARTIAL / key

    def note_path(self, key: str) -> Path:
        return self.root / PARTIAL / (key + NOTE)

    def unlink_partial(self, key: str) -> None:
        self.partial_path(key).unlink(missing_ok=True)
        self.note_path(key).unlink(missing_ok=True)

    def create(self, key: str, *, size: int | None = None, resumable: bool = False) -> Writer:
        with sink_errors():
            if not resumable and (fd := self._open_anonymous()) is not None:
                return LocalWriter(self, key, fd, named=False, resumable=False)
            self._make_folder(self.root / PARTIAL)
            try:
                fd = os.open(self.partial_path(key), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                raise Held(key) from None
            _lock(fd, key)
            return LocalWriter(self, key, fd, named=True, resumable=resumable)

    def has_anonymous_files(self) -> bool:
        """Whether an upload cut off by a crash leaves nothing at all here, or a file for the sweeper."""
        fd = self._open_anonymous()
        if fd is not None:
            os.close(fd)
        return fd is not None

    def _open_anonymous(self) -> int | None:
        flag = getattr(os, "O_TMPFILE", None)  # Linux alone has it
        if flag is None:
            return None
        try:
            return os.open(self.root, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in _NO_ANONYMOUS_FILES:
                return None
            raise

    def publish(self, key: str, fd: int, *, named: bool) -> None:
        """Give synced bytes their name, and make the name durable."""
        target = self.path(key)
        self._make_folder(target.parent)
        if named:
            self.note_path(key).unlink(missing_ok=True)
            self.partial_path(key).rename(target)
        else:
            # linkat() follows the link in /proc only with AT_SYMLINK_FOLLOW, which Python passes only when a
            # src_dir_fd is given; without it: EXDEV. The path is absolute, so any folder will do.
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=folder)
            finally:
                os.close(folder)
        reached(Step.LINKED)
        try:
            _sync_folder(target.parent)
        except OSError:
            target.rename(self.partial_path(key)) if named else target.unlink(missing_ok=True)
            raise
        reached(Step.DIRECTORY_SYNCED)

    def local_path(self, key: str) -> Path:
        return self.path(key)

    def adopt(self, source: Path, key: str) -> bool:
        """By a second hard link, on one filesystem."""
        with sink_errors():
            if source.stat().st_dev != self.root.stat().st_dev:
                return False
            fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
                reached(Step.SYNCED)
                self._make_folder(self.path(key).parent)
                os.link(source, self.path(key))
                reached(Step.LINKED)
                _sync_folder(self.path(key).parent)
                reached(Step.DIRECTORY_SYNCED)
            finally:
                os.close(fd)
        return True

    def resume(self, key: str) -> Writer:
        path = self.partial_path(key)
        with sink_errors():
            try:
                fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NoSuchKey(key) from None
            _lock(fd, key)
            if os.fstat(fd).st_nlink == 0 or not path.exists():
                os.close(fd)
                raise NoSuchKey(key)  # committed or removed between our open and our lock
        return LocalWriter(self, key, fd, named=True, resumable=True)

    def offset(self, key: str) -> int:
        with sink_errors():
            try:
                return self.partial_path(key).stat().st_size
            except FileNotFoundError:
                raise NoSuchKey(key) from None

    def noted(self, key: str) -> str:
        with sink_errors():
            try:
                return self.note_path(key).read_bytes().decode(errors="replace").strip()
            except FileNotFoundError:
                return ""

    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        return self._open(self.partial_path(key), start)

    def open(self, key: str, start: int = 0) -> BinaryIO:
        return self._open(self.path(key), start)

    def _open(self, path: Path, start: int) -> BinaryIO:
        try:
            with sink_errors():
                # Unbuffered: the reader chooses its own pieces, and sendfile() needs none.
                reader = path.open("rb", buffering=0)
                reader.seek(start)
                return reader
        except SinkError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NoSuchKey(path.name) from None
            raise

    def size(self, key: str) -> int | None:
        with sink_errors():
            try:
                return self.path(key).stat().st_size
            except FileNotFoundError:
                return None

    def delete(self, key: str) -> None:
        with sink_errors():
            self.path(key).unlink(missing_ok=True)
            self.unlink_partial(key)

    def walk(self) -> Iterator[Stored]:
        with sink_errors():
            # Only what we put there: a disk of its own has a lost+found, which we may not even look into.
            ours = [entry for entry in os.scandir(self.root) if entry.name == PARTIAL or len(entry.name) == 2]
            for folder in (entry for entry in ours if entry.is_dir(follow_symlinks=False)):
                for entry in os.scandir(folder):
                    if folder.name not in {PARTIAL, entry.name[:2]}:
                        continue
                    with contextlib.suppress(FileNotFoundError):  # removed while we walk
                        found = entry.stat(follow_symlinks=False)
                        modified = datetime.fromtimestamp(found.st_ctime, UTC)
                        key = entry.name.removesuffix(NOTE)
                        if key != entry.name and self.partial_path(key).exists():
                            continue
                        yield Stored(key, found.st_size, modified, partial=folder.name == PARTIAL)

    def free(self) -> int | None:
        with sink_errors():
            disk = os.statvfs(self.root)
            return disk.f_bavail * disk.f_frsize

    def identity(self) -> str | None:
        try:
            return (self.root / MARKER).read_text().strip()
        except OSError:
            return None

    def mark(self, identity: str) -> None:
        with sink_errors():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self.root / MARKER).open("w") as marker:
                marker.write(identity + "\n")
                marker.flush()
                os.fsync(marker.fileno())
            _sync_folder(self.root)

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        _sync_folder(folder.parent)


def _lock(fd: int, key: str) -> None:
    """The kernel lets go of it with the descriptor, whatever ends the process."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise Held(key) from None
        raise


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
