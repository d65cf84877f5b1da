"""Whether this installation runs: its processes share a lock, and `restore` needs it alone.

Every process that works on the data for as long as it lives holds the shared side: serve, the web server, workers and
housekeeping. Several of each may run at once.
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
    """The installation is used by other processes in a way that excludes this one."""


def hold_shared() -> None:
    """Until the end of this process, and of those that it forks. InstanceBusy: it is being restored."""
    global _held
    if _held is None:
        _held = _take(fcntl.LOCK_SH, f"{settings.HOME} is being restored. Start again when that has ended.")


@contextmanager
def exclusively() -> Iterator[None]:
    """Keep the installation from being started. InstanceBusy: it runs. Nobody is waited for."""
    fd = _take(fcntl.LOCK_EX, f"Millrace is running on {settings.HOME}. Stop it first.")
    try:
        yield
    finally:
        os.close(fd)


def _take(kind: int, otherwise: str) -> int:
    fd = open_lock(settings.HOME / "serve.lock")
    if try_lock(fd, kind):
        return fd
    os.close(fd)
    raise InstanceBusy(otherwise)
