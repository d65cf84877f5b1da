"""The nightly snapshots of this installation: the database and the secret key.

Of several hosts the one whose housekeeping leads takes them, on its own disk. A row tells the others when.
"""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from config.addresses import home_address
from uploads.hooks import ServiceWarning
from uploads.maintenance import backup
from uploads.models import NightlySnapshot

_MIN_AGE = timedelta(hours=23)  # of the newest snapshot. The chore runs each hour; with 24 it would skip a day


def secrets() -> list[Path]:
    """The secret key: without it, a restored database would lose its signed links and sessions."""
    return [path for path in [settings.HOME / "secret_key"] if path.is_file()]


def snapshot_nightly() -> int:
    elsewhere = _newest_of_other_hosts()
    # As for snapshots here: one from the future was taken while a clock was wrong.
    if elsewhere is not None and timedelta(0) <= timezone.now() - elsewhere < _MIN_AGE:
        return 0
    taken = backup.take_nightly(settings.SNAPSHOTS, settings.SNAPSHOTS_KEPT, _MIN_AGE, secrets())
    if taken:
        NightlySnapshot.objects.update_or_create(home=home_address(), defaults={"taken_at": Now()})
    return taken


def warnings() -> list[ServiceWarning]:
    """A warning if the nightly snapshot fails."""
    trouble = backup.trouble(newest_snapshot()) if settings.SNAPSHOTS_KEPT else ""
    return [ServiceWarning("backup_fails", trouble)] if trouble else []


def newest_snapshot() -> datetime | None:
    """When the newest nightly snapshot was taken, here or on another host."""
    here = [snapshot.taken_at for snapshot in backup.snapshots(settings.SNAPSHOTS)[:1]]
    return max([*here, *filter(None, [_newest_of_other_hosts()])], default=None)


def _newest_of_other_hosts() -> datetime | None:
    others = NightlySnapshot.objects.exclude(home=home_address())
    return others.order_by("-taken_at").values_list("taken_at", flat=True).first()
