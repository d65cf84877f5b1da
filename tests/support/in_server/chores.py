"""Records of housekeeping's chores, changed in a server's Django. Tests run these by Server.call."""

from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from uploads.models import ChoreRecord, NightlySnapshot
from uploads.monitoring.chore_records import record_run


def forget_chore(name: str) -> None:
    """The chore is due at once."""
    ChoreRecord.objects.filter(name=name).delete()


def insert_record_of_0010(name: str, done: int) -> None:
    """Insert a row into the table as it was before hosts were recorded."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO uploads_chorerecord (name, done, failed, written_at) VALUES (%s, %s, 0, CURRENT_TIMESTAMP)",
            [name, done],
        )


def note_snapshot_of(home: str, hours_ago: int) -> None:
    """As another host does when it has taken a snapshot."""
    NightlySnapshot.objects.update_or_create(home=home, defaults={"taken_at": Now() - timedelta(hours=hours_ago)})


def record_run_on(host: str) -> None:
    """As that host's housekeeping does."""
    record_run("keep the ballast", host, failed=False)


def forget_host(host: str) -> None:
    ChoreRecord.objects.filter(host=host).delete()
