"""Jobs and workers, changed in a server's Django. Tests run these by Server.call."""

import uuid
from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from media_jobs.models import Batch, Job, Worker
from media_jobs.queue import lanes
from media_jobs.queue.batch_chores import submit_some


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


def fail_batch(pk: str) -> None:
    """The jobs of a batch are submitted, and look as if they had failed."""
    batch = Batch.objects.get(pk=pk)
    submit_some(batch)
    Job.objects.filter(batch=batch).update(status="failed", error_code="stalled", finished_at=timezone.now())
