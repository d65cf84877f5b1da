"""A lock that shows whether this installation is running. `restore` needs it exclusively.

serve, the web server, workers and housekeeping hold it as a shared lock for as long as they run.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management.base import CommandError

from config.processes.file_locks import open_lock, try_lock

_held: int | None = None


class InstanceBusy(CommandError):
    """Other processes hold the lock."""


def hold_shared() -> None:
    """Hold the shared lock until this process and its children end. Raises InstanceBusy during a restore."""
    global _held
    if _held is None:
        _held = _take(fcntl.LOCK_SH, f"{settings.HOME} is being restored. Start Millrace again after that.")


@contextmanager
def exclusively() -> Iterator[None]:
    """Hold the exclusive lock, so that Millrace cannot be started. Raises InstanceBusy if it is running."""
    fd = _take(fcntl.LOCK_EX, f"Millrace is running on {settings.HOME}. Stop it first.")
    try:
        yield
    finally:
        os.close(fd)


def _take(kind: int, message: str) -> int:
    fd = open_lock(settings.HOME / "serve.lock")
    if try_lock(fd, kind):
        return fd
    os.close(fd)
    raise InstanceBusy(message)
