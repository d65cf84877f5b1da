"""The private folder of one attempt at a job: removed at its end, or by a sweep if its process was killed.

The folder itself is locked with flock, so that the kernel releases the lock even after kill -9.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def work_folder(root: Path, name: str) -> Iterator[Path]:
    """Make the folder `root/name`, which must not exist, and remove it with its contents at the end."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / name
    lock = _make(folder)
    try:
        yield folder
    finally:
        try:
            remove(folder)
        finally:
            os.close(lock)


def sweep(root: Path) -> int:
    """Remove the folders that no process has locked. Returns their number."""
    with suppress(FileNotFoundError):
        return sum(_sweep(Path(entry)) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    return 0


def _make(folder: Path) -> int:
    """Make and lock the folder. Returns the descriptor with the lock."""
    while True:
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_same(folder, lock):
                return lock
            os.close(lock)
        # A sweep removed the folder before it was locked.


def _sweep(folder: Path) -> bool:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:  # its process removed it at the same time
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_same(folder, lock):
            return False
        remove(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _is_same(folder: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), folder.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def remove(folder: Path) -> None:
    """Remove a folder with its contents, also if they are read-only or nested very deeply.

    Inner folders are moved up one by one. shutil.rmtree recurses, and fails at read-only folders.
    """
    folder.chmod(0o700)
    while inner := _folders(folder):
        for path in inner:
            for deeper in _folders(path):
                deeper.chmod(0o700)  # a folder must be writable to be moved
                deeper.rename(folder / f".removing-{uuid4().hex}")
            _unlink_all(path)
            path.rmdir()
    _unlink_all(folder)
    folder.rmdir()


def _folders(folder: Path) -> list[Path]:
    inner = [path for path in folder.iterdir() if stat.S_ISDIR(path.lstat().st_mode)]
    for path in inner:
        path.chmod(0o700)
    return inner


def _unlink_all(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.unlink()
