"""What Prometheus may know of jobs. They end in many processes, so all of it is kept in the database."""

from typing import Any

from django.utils import timezone

from uploads.monitoring.counters import StoredCounter, StoredHistogram, count

from ..models import Job

JOBS = StoredCounter("millrace_jobs_ended", "Jobs that ended.", ["operation", "result", "reason"])
DURATION = StoredHistogram(
    "millrace_job_duration_seconds", "Time of the last attempt of jobs that a worker ran.", ["operation", "result"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 4 * 3600),
)  # fmt: skip
CACHE_HITS = StoredCounter("millrace_job_cache_hits", "Jobs answered by an earlier result.", ["operation"])
LEASES_LOST = StoredCounter("millrace_job_leases_lost", "Attempts whose worker was lost.", ["operation"])
STORED: list[StoredCounter | StoredHistogram] = [JOBS, DURATION, CACHE_HITS, LEASES_LOST]


def count_ended(job: Job, result: str, reason: str = "", *, cached: bool = False) -> None:
    """In the transaction that ends it. `job` is as it was before."""
    increments: list[Any] = [JOBS.one(job.operation, result, reason)]
    if cached:
        increments.append(CACHE_HITS.one(job.operation))
    elif job.status == Job.Status.RUNNING and job.started_at is not None:
        seconds = max(0.0, (timezone.now() - job.started_at).total_seconds())
        increments.append(DURATION.one(seconds, job.operation, result))
    count(*increments)


def count_lost(job: Job) -> None:
    """In the transaction that takes it back from its worker."""
    count(LEASES_LOST.one(job.operation))
