"""Where this installation's snapshots are, and what is in them besides the database."""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from uploads.hooks import ServiceWarning
from uploads.maintenance import backup

_NIGHTLY = timedelta(hours=23)  # the chore comes by each hour, and must not skip a day


def secrets() -> list[Path]:
    """Without this key, links that were made and people who are signed in are invalid."""
    return [path for path in [settings.HOME / "secret_key"] if path.is_file()]


def snapshot_nightly() -> int:
    return backup.take_nightly(settings.SNAPSHOTS, settings.SNAPSHOTS_KEPT, _NIGHTLY, secrets())


def warnings() -> list[ServiceWarning]:
    """What is wrong with the snapshots. Usually nothing."""
    trouble = backup.trouble(settings.SNAPSHOTS) if settings.SNAPSHOTS_KEPT else ""
    return [ServiceWarning("backup_fails", trouble)] if trouble else []


def newest_snapshot() -> datetime | None:
    """When the newest nightly snapshot was taken."""
    found = backup.snapshots(settings.SNAPSHOTS)
    return found[0].taken_at if found else None
