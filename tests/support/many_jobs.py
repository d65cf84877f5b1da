"""Jobs by the thousand, as rows: what submitting would have made of as many requests."""

import uuid
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from media_jobs import operations
from media_jobs.models import Job, Share, Worker
from uploads.models import Blob, MediaFile, Transition

BUILD = "ffmpeg of nobody"


def an_owner() -> User:
    return User.objects.create(username=uuid.uuid4().hex)


def a_file(owner: User) -> MediaFile:
    """Of a film whose bytes nobody has: for jobs that nobody runs."""
    name = uuid.uuid4().hex
    blob = Blob.objects.create(
        sink="local", key=str(uuid.uuid4()), sha256=name * 2, size=7, state="stored", kind="video",
        media_type="video/mp4",
    )  # fmt: skip
    return MediaFile.objects.create(owner=owner, blob=blob, name=f"{name}.mp4", origin="upload")


def a_worker(lane: str) -> Worker:
    now = timezone.now()
    return Worker.objects.create(lane=lane, host="here", pid=1, build=BUILD, seen_at=now, heard_at=now)


def pile(number: int, files: list[MediaFile], operation: str, *, wait: timedelta | None = None) -> None:
    """So many different jobs, queued in turn for each of the files."""
    made, now = operations.get(operation), timezone.now()
    jobs = [
        Job(
            owner_id=file.owner_id, operation=operation, version=made.version, file=file, lane=made.lane,
            cache_key=uuid.uuid4().hex * 2, queued_at=now, not_before=None if wait is None else now + wait,
        )
        for file, _ in zip(files * number, range(number), strict=False)
    ]  # fmt: skip
    past = [Transition(subject="job", subject_id=job.pk, number=1, state="queued") for job in jobs]
    with transaction.atomic():
        for file in files:
            share = {"lane": made.lane, "owner_id": file.owner_id}
            Share.objects.get_or_create(**share, defaults={"served_at": now - timedelta(days=1)})
        Job.objects.bulk_create(jobs, batch_size=1000)
        Transition.objects.bulk_create(past, batch_size=1000)
    if connection.vendor == "postgresql":  # what its planner knows by itself a minute later
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE media_jobs_job")
