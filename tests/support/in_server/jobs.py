"""Jobs and workers, changed in a server's Django. Tests run these by Server.call."""

import uuid
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from media_jobs.models import Batch, Job, Worker
from media_jobs.queue import lanes
from media_jobs.queue.batch_chores import submit_some
from uploads.models import Blob, MediaFile, Transition
from uploads.storage.stores import sink


def lose_job_and_resume_lane(pk: str, lane: str) -> None:
    """A worker died with this job; then the lane goes on."""
    lost = {"status": "running", "token": uuid.uuid4(), "lease_until": Now() - timedelta(seconds=1)}
    Job.objects.filter(pk=pk).update(**lost)
    lanes.resume(lane)


def run_job_row(pk: str) -> None:
    """A job looks as if a worker ran it."""
    now = timezone.now()
    lease = {"token": uuid.uuid4(), "lease_until": now + timedelta(seconds=90), "started_at": now}
    Job.objects.filter(pk=pk).update(status="running", **lease)


def make_worker_row(lane: str, host: str, minutes_ago: int) -> None:
    """A worker that was last heard of so long ago."""
    heard = timezone.now() - timedelta(minutes=minutes_ago)
    Worker.objects.create(lane=lane, host=host, pid=1, seen_at=heard, heard_at=heard)


def make_files(owner: str, number: int) -> None:
    """Films as rows, for jobs that nobody runs."""
    user = User.objects.get(username=owner)
    blobs = [
        Blob(
            sink=sink().name, key=str(uuid.uuid4()), sha256=uuid.uuid4().hex * 2, size=7, state="stored",
            kind="video", media_type="video/mp4",
        )
        for _ in range(number)
    ]  # fmt: skip
    Blob.objects.bulk_create(blobs)
    MediaFile.objects.bulk_create(
        MediaFile(owner=user, blob=blob, name=f"{place}.mp4", kind="video", size=7, origin="upload")
        for place, blob in enumerate(blobs)
    )


def pasts_of_batch(pk: str) -> dict[str, Any]:
    """Of the jobs of a batch: how many there are, on how many files, and what their timelines are."""
    jobs = list(Job.objects.filter(batch=UUID(pk)))
    states: dict[str, list[str]] = {str(job.pk): [] for job in jobs}
    steps = Transition.objects.filter(subject="job", subject_id__in=[job.pk for job in jobs])
    for job, state in steps.order_by("number").values_list("subject_id", "state"):
        states[str(job)].append(state)
    pasts = Counter(" ".join(past) for past in states.values())
    return {"jobs": len(jobs), "files": len({job.file_id for job in jobs}), "pasts": dict(pasts)}


def fail_batch(pk: str, number: int = 100) -> None:
    """The first jobs of a batch are submitted, and this number of them looks as if they had failed."""
    batch = Batch.objects.get(pk=pk)
    submit_some(batch)
    jobs = Job.objects.filter(pk__in=list(Job.objects.filter(batch=batch).values_list("pk", flat=True)[:number]))
    jobs.update(status="failed", error_code="stalled", finished_at=timezone.now())
