"""A private folder for one attempt: locked while its holder lives, gone with it, swept when its holder was killed.

The lock is flock on the folder itself, so that the kernel lets go of it even after kill -9.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def workfolder(root: Path, name: str) -> Iterator[Path]:
    """Make `root/name`, which nobody may have made before, and remove it with everything inside."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / name
    held = _make(folder)
    try:
        yield folder
    finally:
        try:
            remove(folder)
        finally:
            os.close(held)


def sweep(root: Path) -> int:
    """Remove what nobody holds any more. How many were removed."""
    with suppress(FileNotFoundError):
        return sum(_sweep(Path(entry)) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    return 0


def _make(folder: Path) -> int:
    """The descriptor that holds its lock."""
    while True:
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if _is_still(folder, held):
                return held
            os.close(held)
        # A sweeper came between making and locking, and has taken it for abandoned.


def _sweep(folder: Path) -> bool:
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:  # its holder was faster
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_still(folder, held):
            return False
        remove(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True


def _is_still(folder: Path, held: int) -> bool:
    try:
        return os.path.samestat(os.fstat(held), folder.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def remove(folder: Path) -> None:
    """Whatever is inside, however deep, and whoever may write to it: folders within are lifted up, one by one.

    shutil.rmtree calls itself for each level, and stops before what is read-only.
    """
    folder.chmod(0o700)
    while inner := _folders(folder):
        for path in inner:
            for deeper in _folders(path):
                deeper.chmod(0o700)  # to be moved it must be writable itself
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
