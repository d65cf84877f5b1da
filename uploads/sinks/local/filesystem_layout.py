"""The folders and files of a local store: their layout, access modes, locks and durable names.

Committed bytes are in `ROOT/ab/KEY`, an open resumable write in `ROOT/partial/KEY`, and its checkpoint in
`ROOT/partial/KEY.note`.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..base import KeyLocked, SinkError, SinkFull, Stored

_PARTIAL = "partial"
_CHECKPOINT = ".note"
_MARKER = ".millrace-sink"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ANONYMOUS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}

_OWNER_ONLY, _GROUP_ENTERS = 0o700, 0o710  # of ROOT: the group may enter it, and not list it
_FOLDER, _FILE, _OWN_FILE = 0o750, 0o640, 0o600


@contextlib.contextmanager
def sink_errors() -> Iterator[None]:
    """Convert OSError to the errors of the contract."""
    try:
        yield
    except OSError as error:
        raise to_sink_error(error) from error


def to_sink_error(error: OSError) -> SinkError:
    kind = SinkFull if error.errno in _FULL else SinkError
    return kind(error.strerror or "the disk does not work")


@dataclass(frozen=True, slots=True)
class Access:
    """Which accounts of this machine may read the store: our own, and members of one group, such as nginx's.

    Only an account that may enter ROOT reaches the files below it. So a start need not check every file, except when
    a group gets access for the first time. A file that is hard-linked from elsewhere (`ingest --link`) keeps its
    mode.
    """

    group: int | None = None

    def allow_group(self, fd: int) -> None:
        """Give the group access to a file that is about to be committed."""
        if self.group is not None:
            os.fchown(fd, -1, self.group)
            os.fchmod(fd, _FILE)

    def allow_group_in_folder(self, folder: Path) -> None:
        if self.group is not None:
            os.chown(folder, -1, self.group)
            folder.chmod(_FOLDER)

    def restrict(self, root: Path, folders: Iterable[Path]) -> None:
        """Close ROOT to all other accounts. If the group is new, give it access to all content."""
        if self.group is None:
            set_mode(root, _OWNER_ONLY)
        elif not _has(root.stat(), _GROUP_ENTERS, self.group):
            for folder in folders:
                self._allow_group_in_all(folder)
            set_mode(root, _GROUP_ENTERS, self.group)  # last: after a crash the next start repeats all

    def set_own_mode(self, path: Path) -> None:
        """Set the mode of a file, unless it has a second name or belongs to another account."""
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            set_mode(path, _OWN_FILE if self.group is None else _FILE, self.group)

    def _allow_group_in_all(self, folder: Path) -> None:
        self.allow_group_in_folder(folder)
        for entry in os.scandir(folder):
            self.set_own_mode(Path(entry.path))


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path
    access: Access = field(default_factory=Access)

    @property
    def marker(self) -> Path:
        return self.root / _MARKER

    @property
    def partials(self) -> Path:
        return self.root / _PARTIAL

    def path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def partial(self, key: str) -> Path:
        return self.partials / key

    def checkpoint(self, key: str) -> Path:
        return self.partials / (key + _CHECKPOINT)

    def unlink_partial(self, key: str) -> None:
        self.partial(key).unlink(missing_ok=True)
        self.checkpoint(key).unlink(missing_ok=True)

    def make_folder_of(self, key: str) -> Path:
        folder = self.path(key).parent
        if make_folder(folder):
            self.access.allow_group_in_folder(folder)
        return folder

    def restrict(self) -> None:
        """Close the store to other accounts of this machine."""
        self.access.restrict(self.root, (folder for folder in self._folders() if folder.name != _PARTIAL))

    def _folders(self) -> list[Path]:
        # Only folders of the store: the root of a disk also has lost+found, which may be unreadable.
        ours = [entry for entry in os.scandir(self.root) if entry.name == _PARTIAL or len(entry.name) == 2]
        return [Path(entry.path) for entry in ours if entry.is_dir(follow_symlinks=False)]

    def walk(self) -> Iterator[Stored]:
        for folder in self._folders():
            for entry in os.scandir(folder):
                if folder.name not in {_PARTIAL, entry.name[:2]}:
                    continue
                with contextlib.suppress(FileNotFoundError):  # removed while we walk
                    found = entry.stat(follow_symlinks=False)
                    modified = datetime.fromtimestamp(found.st_ctime, UTC)
                    key = entry.name.removesuffix(_CHECKPOINT)
                    if key != entry.name and self.partial(key).exists():
                        continue
                    yield Stored(key, found.st_size, modified, partial=folder.name == _PARTIAL)


def set_mode(path: Path, mode: int, group: int | None = None) -> None:
    """Set mode and group if they differ: on a file of another account even an unchanged mode cannot be set."""
    found = path.stat()
    if group is not None and found.st_gid != group:
        os.chown(path, -1, group)
    if not _has(found, mode, group):
        path.chmod(mode)


def _has(found: os.stat_result, mode: int, group: int | None) -> bool:
    return stat.S_IMODE(found.st_mode) == mode and group in {None, found.st_gid}


def open_anonymous(folder: Path) -> int | None:
    """Open a file without a name. None if the filesystem does not support that."""
    flag = getattr(os, "O_TMPFILE", None)  # Linux alone has it
    if flag is None:
        return None
    try:
        return os.open(folder, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_ANONYMOUS_FILES:
            return None
        raise


def link_anonymous(fd: int, target: Path) -> None:
    # linkat() follows the link in /proc only with AT_SYMLINK_FOLLOW, which Python passes only with a src_dir_fd.
    # Without it the call fails with EXDEV. The path is absolute, so any folder will do.
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=folder)
    finally:
        os.close(folder)


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def write_synced(path: Path, content: bytes) -> None:
    """Create a file with this content, and sync it. Its name is durable after sync_folder()."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_synced(source: Path, target: Path) -> None:
    """Copy a file, and sync the copy. Its name is durable after sync_folder()."""
    fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reader, os.fdopen(fd, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1024**2)
        writer.flush()
        os.fsync(writer.fileno())


def lock(fd: int, key: str) -> None:
    """Lock an open file, or raise KeyLocked. Closing the descriptor unlocks it, as does the end of the process."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise KeyLocked(key) from None
        raise


def make_folder(folder: Path) -> bool:
    """Create a folder with a durable name. False if it exists."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return False
    try:
        sync_folder(folder.parent)
    except OSError:
        folder.rmdir()  # or the next call would find the folder, and its name would never be synced
        raise
    return True


def sync_bytes(fd: int) -> None:
    """Make the bytes of a file durable.

    After a failure the kernel treats the pages in memory as written, and reports no error again. They are dropped, so
    that the next reader sees what the medium has.
    """
    try:
        os.fdatasync(fd)
    except OSError:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        raise


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
