"""Uploads that are not complete, changed in a server's Django. Tests run these by Server.call."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from uploads.errors import Abandoned
from uploads.models import Blob, Upload
from uploads.sinks import crash_points
from uploads.storage.stores import sink
from uploads.transfers import disk_space
from uploads.transfers.completion import fail, fail_stalled
from uploads.transfers.resumable import recovery
from uploads.transfers.resumable.session import Session


def reserved() -> int:
    """The bytes that all uploads together keep reserved."""
    return sum(Upload.objects.values_list("reserved", flat=True))


def is_only_one_paused() -> bool:
    return Upload.objects.get().heartbeat_at is None


def delete_receiving() -> None:
    Upload.objects.filter(state="receiving").delete()


def shift_heartbeats(hours: float) -> None:
    Upload.objects.update(heartbeat_at=F("heartbeat_at") - timedelta(hours=hours))


def shift_end_of_uploads(hours: float) -> None:
    """All finished uploads finished so much earlier."""
    Upload.objects.update(finished_at=F("finished_at") - timedelta(hours=hours))


def shift_uploads_by_a_week() -> None:
    shift_end_of_uploads(7 * 24)
    shift_heartbeats(7 * 24)


def fail_stalled_after(hours: float) -> int:
    """Run the chore as if the clock had jumped. Returns how many uploads it ended."""
    shift_heartbeats(hours)
    return fail_stalled()


def give_up_receiving() -> None:
    fail(Upload.objects.get(state="receiving"), Abandoned("Given up."))


def expire_receiving(days: int) -> None:
    Upload.objects.filter(state="receiving").update(expires_at=timezone.now() - timedelta(days=days))


def lapse_an_hour_later() -> int:
    """Give up the reservations of uploads that paused an hour ago. Returns how many there were."""
    Upload.objects.filter(state="receiving").update(paused_at=Now() - timedelta(hours=1), heartbeat_at=None)
    return disk_space.release_idle()


def reserve_whole_disk(owner: str, name: str) -> None:
    Upload.objects.create(
        owner=User.objects.get(username=owner), name=name, protocol="tus", sink=sink().name, declared_size=10**16,
        reserved=10**16, expires_at=Now(), paused_at=Now(),
    )  # fmt: skip


def delete_upload(name: str) -> None:
    Upload.objects.filter(name=name).delete()


def recover_minutes_later() -> None:
    """The holder of an upload has not been heard of for minutes. A paused upload has no holder."""
    Blob.objects.filter(state="storing").update(created_at=Now() - timedelta(minutes=5))
    Upload.objects.filter(heartbeat_at__isnull=False).update(heartbeat_at=Now() - timedelta(minutes=5))
    recovery.recover_stalled()


def expire_a_week_later() -> None:
    """The client has not come back for a week."""
    Upload.objects.filter(expires_at__isnull=False).update(expires_at=Now() - timedelta(minutes=5))
    recovery.expire_uploads()


def finish_after_another_has_stored_it() -> None:
    """End an upload in this process, while another stores the same bytes just before the rows are written."""
    upload = Upload.objects.get(state="receiving")
    session = Session.open(upload.pk)

    def overtake(step: crash_points.Step) -> None:
        if step == crash_points.Step.DIRECTORY_SYNCED:
            crash_points.listeners.clear()
            recovery.read_offset(Upload.objects.get(pk=upload.pk))

    crash_points.listeners.append(overtake)
    with session:
        session.feed((settings.UPLOADS.media_root.parent / "rest").read_bytes())
        session.finish_request()


def recover_half_a_day_later() -> None:
    """The server died with the uploads that it received, half a day ago."""
    Upload.objects.filter(state="receiving").update(heartbeat_at=Now() - timedelta(hours=12))
    fail_stalled()
    recovery.recover_stalled()
