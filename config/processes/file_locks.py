"""File locks between processes of one HOME. The kernel releases them when their holder dies, however it dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _nothing() -> None:
    pass


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = _nothing) -> Iterator[None]:
    """Hold the lock alone; wait until it is free, after a call of `on_wait`. The file itself stays, and is empty."""
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
    """Take the lock (LOCK_SH or LOCK_EX) unless that would have to wait."""
    with suppress(BlockingIOError):
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    return False
