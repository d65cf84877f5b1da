"""Functions that the drills run in a server's Django, by Server.call.

The drills themselves never load Django: each function imports what it needs.
"""

from datetime import timedelta


def give_storage_an_identity() -> None:
    """One of its own: that of the template would be that of every copy."""
    from uploads.storage.marker import adopt
    from uploads.storage.stores import sink

    adopt(sink())


def delete_bytes_hours_later() -> None:
    """Run everything that may delete bytes, as if hours had passed: what is judged only when it is old is old."""
    from django.utils import timezone

    from uploads.maintenance.housekeeping import remove_bytes
    from uploads.maintenance.sweep import sweep
    from uploads.models import Blob, Tombstone
    from uploads.storage.stores import sink

    long_ago = timezone.now() - timedelta(hours=2)
    Blob.objects.filter(state="storing").update(created_at=long_ago)
    sweep(sink(), grace=timedelta(0))
    remove_bytes()
    Tombstone.objects.update(created_at=long_ago)
    remove_bytes()


def copy_file(pk: str, number: int) -> None:
    """Make files that share the content of this one."""
    from django.db import transaction

    from uploads.models import MediaFile
    from uploads.storage import sidecars

    file = MediaFile.objects.get(pk=pk)
    copies = [
        MediaFile(
            owner=file.owner, blob=file.blob, name=f"copy {place}.mp4", kind=file.kind, size=file.size,
            origin=file.origin, has_facts=file.has_facts,
        )
        for place in range(number)
    ]  # fmt: skip
    with transaction.atomic():
        MediaFile.objects.bulk_create(copies)
        sidecars.changed(*copies)


def activate_accounts() -> None:
    from django.contrib.auth.models import User

    User.objects.update(is_active=True)


def catch_half_way(job: str, token: str, key: str, sha256: str, size: int) -> None:
    """Rows as a snapshot may catch them: a file while it is stored, and a job just before it ends."""
    from django.utils import timezone

    from media_jobs.models import Job
    from uploads.models import Blob

    Blob.objects.create(sink="local", key=key, sha256=sha256, size=size, media_type="video/mp4", kind="video")
    Job.objects.filter(pk=job).update(
        status="running", token=token, outputs=5, finished_at=None, progress=0.5,
        lease_until=timezone.now() - timedelta(days=365),
    )  # fmt: skip


def work_with_wrong_clock(lane: str) -> None:
    """A slot of this lane, in a process whose clock libfaketime has changed."""
    from django.core.management import call_command

    from tests.support import wrong_clock

    wrong_clock.mend_sleep()
    call_command("worker", lane=lane, one=True)
