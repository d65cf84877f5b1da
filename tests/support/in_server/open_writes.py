"""Open writes to an S3 store, in a server's Django. Tests run these by Server.call."""

from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from tests.support.in_server import content
from uploads.maintenance.housekeeping import abort_abandoned
from uploads.models import OpenWrite
from uploads.storage import open_writes


def end_leases() -> None:
    """As if no holder had been heard of for an hour. One that lives renews its lease within a second."""
    OpenWrite.objects.exclude(token=None).update(held_until=Now() - timedelta(hours=1))


def clean_up_hours_later() -> dict[str, Any]:
    """Run the chores as if hours had passed since the holders died. Returns what is left."""
    open_writes.RENEWED_EVERY = 0.01  # seconds; no holder lives
    end_leases()
    abort_abandoned()
    return content.clean_up_hours_later()
