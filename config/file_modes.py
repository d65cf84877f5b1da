"""What other accounts of this machine may read of HOME: nothing, and with MEDIA_GROUP the content of files.

Each process makes what it makes for itself alone (the umask in settings). This closes, at each start, what an older
release or somebody else has left open: the database holds sessions, the secret key signs them.
"""

from pathlib import Path

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from uploads.conf import limits, sink
from uploads.sinks.base import SinkError
from uploads.sinks.local.filesystem import set_mode
from uploads.sinks.local.sink import LocalSink
from uploads.transfers.server_files import database_files

log = structlog.get_logger(__name__)


def restrict() -> None:
    group = limits().media_group
    for path in (*limits().private, *database_files(), *settings.HOME.glob("*.lock")):
        if path.exists():
            _set_mode(path, 0o700 if path.is_dir() else 0o600)
    try:
        if isinstance(found := sink(), LocalSink):
            found.restrict()
        set_mode(settings.HOME, 0o700 if group is None else 0o710, group)
    except (OSError, SinkError) as error:
        if group is not None:
            raise ImproperlyConfigured(
                f"MILLRACE_MEDIA_GROUP: {settings.HOME} cannot be opened to this group ({error}). The account that "
                "runs Millrace must own it, and be a member of the group."
            ) from error
        _complain(settings.HOME, error)


def _set_mode(path: Path, mode: int) -> None:
    try:
        set_mode(path, mode)
    except OSError as error:
        _complain(path, error)


def _complain(path: Path, error: Exception) -> None:
    """It is somebody else's, as a mounted disk may be. They have to decide who reads it."""
    log.warning("mode_not_set", path=str(path), reason=str(error))
