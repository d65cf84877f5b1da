"""Locks between the processes of one HOME. The kernel releases the lock of a process that ends, also after a kill."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _nothing() -> None:
    pass


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = _nothing) -> Iterator[None]:
    """Hold the exclusive lock. If it is taken, call `on_wait` and wait. The lock file stays, and is empty."""
    fd = open_lock(path)
    try:
        if not try_lock(fd, fcntl.LOCK_EX):
            on_wait()
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def open_lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def try_lock(fd: int, kind: int) -> bool:
    """Take the lock (LOCK_SH or LOCK_EX) without waiting. Returns whether it was taken."""
    with suppress(BlockingIOError):
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    return False
