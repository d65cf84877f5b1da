"""Restrict who can read HOME: only its owner, and content of files also the group MILLRACE_MEDIA_GROUP.

The umask in config/settings.py makes new files private. At each start this module also corrects the modes of files
that an older release or somebody else made: the database contains sessions, and the secret key signs them.
"""

from pathlib import Path

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from uploads.conf import limits
from uploads.sinks.base import SinkError
from uploads.sinks.local.filesystem_layout import set_mode
from uploads.sinks.local.sink import LocalSink
from uploads.storage.stores import sink
from uploads.transfers.ingest.server_files import database_files

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
                f"MILLRACE_MEDIA_GROUP: the group cannot get access to {settings.HOME} ({error}). The account that "
                "runs Millrace must own this folder and be a member of the group."
            ) from error
        _log_failure(settings.HOME, error)


def _set_mode(path: Path, mode: int) -> None:
    try:
        set_mode(path, mode)
    except OSError as error:
        _log_failure(path, error)


def _log_failure(path: Path, error: Exception) -> None:
    """Log that a mode was not changed: another account owns the file, for example on a mounted disk."""
    log.warning("mode_not_set", path=str(path), reason=str(error))
