"""Leases that are not renewed any more: their workers were lost, so their attempts are ended for them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Min, Q, QuerySet
from django.db.models.functions import Now

from uploads.runtime.database_connections import write

from ..conf import jobs
from ..errors import WorkerLost
from ..models import Job
from . import artifacts
from .job_metrics import count_lost_lease
from .outcomes import write_failure

Status = Job.Status
# A lease that ends later than any holder could have set it was written while the clock was wrong.
_CLOCK_ERROR = timedelta(minutes=2)


def oldest_attempt() -> datetime | None:
    """hooks.oldest_readers: when the oldest of the running attempts was started."""
    running = Job.with_children.filter(status=Status.RUNNING)
    started: datetime | None = running.aggregate(at=Min("started_at"))["at"]
    return started


def reap(wait: Callable[[], object]) -> int:
    """End the attempts whose worker was lost. `wait` gives living holders the time to renew their leases.

    After a jump of the clock every lease looks expired until its holder renews it a second later.
    """
    tokens = set(lost().values_list("token", flat=True))
    if not tokens:
        return 0
    wait()
    return sum(_reap(job) for job in lost() if job.token in tokens)


def lost() -> QuerySet[Job]:
    """Running jobs whose lease is not renewed."""
    over = Q(lease_until__lt=Now()) | Q(lease_until__gt=Now() + jobs().lease_time + _CLOCK_ERROR)
    return Job.with_children.filter(over, status=Status.RUNNING)


def _reap(job: Job) -> int:
    held = lost().filter(pk=job.pk, token=job.token)
    times = f" {job.attempts + 1} times" if job.attempts else ""
    failure = WorkerLost(f"The worker of this job was lost{times}. The job may need more memory.")
    with write():
        done = write_failure(held, job, failure, "its worker was lost")
        if done:
            count_lost_lease(job)
    if done:
        artifacts.discard_outputs(job)
    return int(done)
