"""Waiting for what becomes of a job."""

import threading
import time
from uuid import UUID

from uploads.runtime.database_connections import let_go

from ..models import Job

LONGEST_WAIT = 60.0
_LOOK_EVERY = 0.25


# Each takes a thread, and uploads need those, too. Who finds them all taken is answered at once, and asks again.
_places = threading.Semaphore(64)


def wait_for_end(job_id: UUID, seconds: float) -> None:
    """Until it is finished or gone, or the time is over. No connection is held between two looks."""
    if not _places.acquire(blocking=False):
        return
    try:
        until = time.monotonic() + min(seconds, LONGEST_WAIT)
        while Job.objects.filter(pk=job_id, finished_at=None).exists() and time.monotonic() < until:
            let_go()
            time.sleep(_LOOK_EVERY)
    finally:
        _places.release()
