"""A folder in memory that the web processes of one server share. A single web process has none.

It holds what they count together: failed logins and throttled requests (config/backends/shared_cache.py), and metrics
(config/monitoring/process_metrics.py). gunicorn's master makes it when it has the port, and removes it at the end.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from django.conf import settings

# prometheus_client writes its values into the folder of this name if it is set before the first import.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_MEMORY = Path("/dev/shm")  # noqa: S108  # each use there creates a file or folder of its own


def memory() -> Path | None:
    """A folder whose files are in memory, if the system has one: not slow while a disk is busy, nor full with it."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def path() -> Path | None:
    """The folder of this process; None outside of a web server, or if it has one process only."""
    found = os.environ.get(_VARIABLE)
    return Path(found) if found else None


def make() -> None:
    """Make the folder for the processes that are started from now on. Remove one that a killed server left."""
    place = memory() or settings.HOME / "run"
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(f"{_prefix()}*"):
        shutil.rmtree(left, ignore_errors=True)
    os.environ[_VARIABLE] = tempfile.mkdtemp(prefix=_prefix(), dir=place)


def remove() -> None:
    if (found := path()) is not None:
        shutil.rmtree(found, ignore_errors=True)


def _prefix() -> str:
    """The same for each start: only one server at a time can have this port."""
    server = f"{settings.HOME} {settings.HOST} {settings.PORT}"
    return f"millrace-{hashlib.sha256(server.encode()).hexdigest()[:16]}-"
