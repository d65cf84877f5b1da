"""The nightly snapshots of this installation: the database and the secret key."""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from uploads.hooks import ServiceWarning
from uploads.maintenance import backup

_MIN_AGE = timedelta(hours=23)  # of the newest snapshot. The chore runs each hour; with 24 it would skip a day


def secrets() -> list[Path]:
    """The secret key: without it, a restored database would lose its signed links and sessions."""
    return [path for path in [settings.HOME / "secret_key"] if path.is_file()]


def snapshot_nightly() -> int:
    return backup.take_nightly(settings.SNAPSHOTS, settings.SNAPSHOTS_KEPT, _MIN_AGE, secrets())


def warnings() -> list[ServiceWarning]:
    """A warning if the nightly snapshot fails."""
    trouble = backup.trouble(settings.SNAPSHOTS) if settings.SNAPSHOTS_KEPT else ""
    return [ServiceWarning("backup_fails", trouble)] if trouble else []


def newest_snapshot() -> datetime | None:
    """When the newest nightly snapshot was taken."""
    found = backup.snapshots(settings.SNAPSHOTS)
    return found[0].taken_at if found else None
