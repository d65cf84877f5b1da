"""Waiting for what becomes of a job."""

import time
from uuid import UUID

from uploads.connections import let_go

from .models import Job

LONGEST_WAIT = 60.0
_LOOK_EVERY = 0.25


def wait_for_end(job_id: UUID, seconds: float) -> None:
    """Until it is finished or gone, or the time is over. No connection is held between two looks."""
    until = time.monotonic() + min(seconds, LONGEST_WAIT)
    while Job.objects.filter(pk=job_id, finished_at=None).exists() and time.monotonic() < until:
        let_go()
        time.sleep(_LOOK_EVERY)
