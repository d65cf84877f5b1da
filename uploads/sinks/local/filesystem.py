"""What a local disk is asked for: where bytes lie, whose they are just now, and names that outlast a crash.

`ROOT/ab/KEY` once committed, `ROOT/partial/KEY` while a resumable write is open, and `ROOT/partial/KEY.note` what is
noted beside it.
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

_ALONE, _ENTERED = 0o700, 0o710  # of ROOT: the group enters it, and lists nothing
_FOLDER, _FILE, _OWN_FILE = 0o750, 0o640, 0o600


@contextlib.contextmanager
def sink_errors() -> Iterator[None]:
    """What the system says of the disk, in the words of the contract."""
    try:
        yield
    except OSError as error:
        kind = SinkFull if error.errno in _FULL else SinkError
        raise kind(error.strerror or "the disk failed") from error


@dataclass(frozen=True, slots=True)
class Access:
    """Who on this machine may read the bytes: we alone, or one group besides, such as nginx's.

    Folders decide: what lies below ROOT is out of reach for whoever may not enter ROOT. So a start need not look at
    every file, but where a group is let in for the first time. A file with a second name (`ingest --link`) keeps the
    mode that its owner gave it.
    """

    group: int | None = None

    def let_in(self, fd: int) -> None:
        """To a file of ours that is about to become content."""
        if self.group is not None:
            os.fchown(fd, -1, self.group)
            os.fchmod(fd, _FILE)

    def let_in_folder(self, folder: Path) -> None:
        if self.group is not None:
            os.chown(folder, -1, self.group)
            folder.chmod(_FOLDER)

    def restrict(self, root: Path, folders: Iterable[Path]) -> None:
        """Close ROOT to everybody else; and, once for a group, open the folders of content to it."""
        if self.group is None:
            set_mode(root, _ALONE)
        elif not _has(root.stat(), _ENTERED, self.group):
            for folder in folders:
                self._let_in_all(folder)
            set_mode(root, _ENTERED, self.group)  # at last: a start that is cut off before does all of it again

    def take_over(self, path: Path) -> None:
        """Of a file that may have a second name. Then, or if it is another account's, its mode is not ours to set."""
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            set_mode(path, _OWN_FILE if self.group is None else _FILE, self.group)

    def _let_in_all(self, folder: Path) -> None:
        self.let_in_folder(folder)
        for entry in os.scandir(folder):
            self.take_over(Path(entry.path))


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
            self.access.let_in_folder(folder)
        return folder

    def restrict(self) -> None:
        """Close it to other accounts of this machine."""
        self.access.restrict(self.root, (folder for folder in self._folders() if folder.name != _PARTIAL))

    def _folders(self) -> list[Path]:
        # Only what we put there: a disk of its own has a lost+found, which we may not even look into.
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
    """Unless it is so already: whose it is not may not even set what is set."""
    found = path.stat()
    if group is not None and found.st_gid != group:
        os.chown(path, -1, group)
    if not _has(found, mode, group):
        path.chmod(mode)


def _has(found: os.stat_result, mode: int, group: int | None) -> bool:
    return stat.S_IMODE(found.st_mode) == mode and group in {None, found.st_gid}


def open_anonymous(folder: Path) -> int | None:
    """A file without a name, or None where the filesystem has none."""
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
    # linkat() follows the link in /proc only with AT_SYMLINK_FOLLOW, which Python passes only when a
    # src_dir_fd is given; without it: EXDEV. The path is absolute, so any folder will do.
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
    """A new file with this content, on the medium. Its name is not there yet: that takes a sync of its folder."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_synced(source: Path, target: Path) -> None:
    """A copy of a file on the medium. Its name is not there yet, as above."""
    fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reader, os.fdopen(fd, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1024**2)
        writer.flush()
        os.fsync(writer.fileno())


def lock(fd: int, key: str) -> None:
    """The kernel lets go of it with the descriptor, whatever ends the process."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise KeyLocked(key) from None
        raise


def make_folder(folder: Path) -> bool:
    """Whether it was not there yet."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return False
    try:
        sync_folder(folder.parent)
    except OSError:
        folder.rmdir()  # else the next file in it would find it here, and nobody would sync its name again
        raise
    return True


def sync_bytes(fd: int) -> None:
    """Make a file's bytes durable.

    After a failure the copy in memory is dropped: it counts as written, and no later sync would report it again.
    Who reads the file next must see what the medium has.
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
