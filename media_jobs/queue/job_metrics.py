"""Metrics about jobs for Prometheus. Jobs end in many processes, so these are kept in the database."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from uploads.monitoring.counters import StoredCounter, StoredHistogram, count

from ..models import Job

JOBS_ENDED = StoredCounter("millrace_jobs_ended", "Jobs that ended.", ["operation", "result", "reason"])
DURATION = StoredHistogram(
    "millrace_job_duration_seconds", "Time of the last attempt of jobs that a worker ran.", ["operation", "result"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 4 * 3600),
)  # fmt: skip
CACHE_HITS = StoredCounter("millrace_job_cache_hits", "Jobs answered by an earlier result.", ["operation"])
LEASES_LOST = StoredCounter("millrace_job_leases_lost", "Attempts whose worker was lost.", ["operation"])
METRICS: list[StoredCounter | StoredHistogram] = [JOBS_ENDED, DURATION, CACHE_HITS, LEASES_LOST]


def count_end(job: Job, result: str, reason: str = "", *, cached: bool = False) -> None:
    """Count an end. `job` has the values from before the change."""
    increments: list[Any] = [JOBS_ENDED.one(job.operation, result, reason)]
    if cached:
        increments.append(CACHE_HITS.one(job.operation))
    elif job.status == Job.Status.RUNNING and job.started_at is not None:
        seconds = max(0.0, (timezone.now() - job.started_at).total_seconds())
        increments.append(DURATION.one(seconds, job.operation, result))
    count(*increments)


def count_ends(jobs: Sequence[Job], result: str) -> None:
    """Count the ends of jobs that no worker ran."""
    if jobs:
        count(*[JOBS_ENDED.one(job.operation, result, "") for job in jobs])


def count_lost_lease(job: Job) -> None:
    count(LEASES_LOST.one(job.operation))
