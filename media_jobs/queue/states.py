"""The only module that changes the status of jobs.

    uploading → queued → running → succeeded | failed | cancelled

Each change is one conditional UPDATE whose row count is checked. The argument `found` selects the job only while it
may change: `waiting(job)`, or a query that the holder of a lease fences with its token. Each function runs in the
transaction of its caller, records the Transition and the metrics, and returns whether the status changed.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, models
from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Now
from django.utils import timezone

from uploads.models import Transition
from uploads.monitoring.counters import StoredCounter, StoredHistogram, count
from uploads.runtime.database_connections import release_connection, write

from ..conf import jobs
from ..errors import Failure, NoSuchJob
from ..models import Job, Worker
from .single_flight import promote

Status = Job.Status
P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 5
_RESET: dict[str, Any] = {
    "token": None, "lease_until": None, "phase": "", "speed": None, "eta_seconds": None, "cancel_asked": False,
}  # fmt: skip

# Jobs end in many processes, so their metrics are kept in the database.
JOBS_ENDED = StoredCounter("millrace_jobs_ended", "Jobs that ended.", ["operation", "result", "reason"])
DURATION = StoredHistogram(
    "millrace_job_duration_seconds", "Time of the last attempt of jobs that a worker ran.", ["operation", "result"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 4 * 3600),
)  # fmt: skip
CACHE_HITS = StoredCounter("millrace_job_cache_hits", "Jobs answered by an earlier result.", ["operation"])
LEASES_LOST = StoredCounter("millrace_job_leases_lost", "Attempts whose worker was lost.", ["operation"])
METRICS: list[StoredCounter | StoredHistogram] = [JOBS_ENDED, DURATION, CACHE_HITS, LEASES_LOST]


def in_retried_transaction(function: Callable[P, T]) -> Callable[P, T]:
    """Run the function in a transaction, and again after an IntegrityError.

    Another transaction has then stored the same bytes, or has submitted the same work first: the next try sees that.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_TRIES - 1):
            try:
                with write():
                    return function(*args, **kwargs)
            except IntegrityError:
                continue
        with write():
            return function(*args, **kwargs)

    return wrapper


def lock_job(job: Job) -> Job:
    """Read the job's row again, and lock it until the transaction ends."""
    found = Job.objects.select_for_update(of=["self"]).select_related("file").filter(pk=job.pk).first()
    if found is None:
        raise NoSuchJob("This job has been deleted.")
    return found


def waiting(job: Job) -> QuerySet[Job]:
    """The job, unless a worker runs it or it has ended."""
    return Job.objects.filter(pk=job.pk, status__in=[Status.UPLOADING, Status.QUEUED])


def mark_queued(found: QuerySet[Job], job: Job, reason: str, **changes: Any) -> bool:
    reset = _RESET | {"progress": 0, "outputs": 0, "not_before": None}
    done = found.update(**(reset | changes), status=Status.QUEUED)
    if done:
        Transition.record("job", job.pk, Status.QUEUED, reason)
    return bool(done)


def mark_succeeded(
    found: QuerySet[Job], job: Job, reason: str = "", *, message: str = "", cached: bool = False, **changes: Any
) -> bool:
    done = found.update(
        **(_RESET | changes), status=Status.SUCCEEDED, progress=1, finished_at=Now(), cached=cached,
        message=message[:255] or "Done",
    )  # fmt: skip
    if done:
        Transition.record("job", job.pk, Status.SUCCEEDED, reason)
        _count_end(job, Status.SUCCEEDED, cached=cached)
    return bool(done)


def mark_failed(found: QuerySet[Job], job: Job, failure: Failure, **changes: Any) -> bool:
    done = found.update(
        **(_RESET | changes), status=Status.FAILED, finished_at=Now(), leader=None, outputs=0,
        error_code=failure.code, error_detail=failure.detail[:500], message=failure.detail[:255],
    )  # fmt: skip
    if done:
        Transition.record("job", job.pk, Status.FAILED, f"{failure.code}: {failure.detail}")
        _count_end(job, Status.FAILED, failure.code)
    return bool(done)


def mark_cancelled(found: QuerySet[Job], job: Job) -> bool:
    """Also let the oldest follower of the job lead the others."""
    done = found.update(
        **_RESET, status=Status.CANCELLED, finished_at=Now(), leader=None, outputs=0, message="Cancelled",
        attempts=F("attempts") + Case(When(status=Status.RUNNING, then=1), default=0),
    )  # fmt: skip
    if done:
        Transition.record("job", job.pk, Status.CANCELLED)
        _count_end(job, Status.CANCELLED)
        promote(job)
    return bool(done)


def _count_end(job: Job, result: str, reason: str = "", *, cached: bool = False) -> None:
    """Count an end. `job` has the values from before the change."""
    increments: list[Any] = [JOBS_ENDED.one(job.operation, result, reason)]
    if cached:
        increments.append(CACHE_HITS.one(job.operation))
    elif job.status == Status.RUNNING and job.started_at is not None:
        seconds = max(0.0, (timezone.now() - job.started_at).total_seconds())
        increments.append(DURATION.one(seconds, job.operation, result))
    count(*increments)


# The claim is raw SQL, as workers ask for it hundreds of times a second and wait for each other meanwhile. On
# PostgreSQL it is one statement: one round trip, and no lock that outlasts it. On SQLite it is three statements made
# of the same parts.
#
# _NEXT selects the next job of a lane: the best priority, of the owner who was served least recently, their oldest.
# Each part is one index lookup. (PostgreSQL would plan an EXISTS instead of the innermost SELECT, or that SELECT
# without its ORDER BY, as a scan of all queued jobs.)
_NEXT = """
    SELECT id FROM media_jobs_job
    WHERE {claimable} AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) AND owner_id = (
        SELECT owner_id FROM media_jobs_share AS share WHERE share.lane = %(lane)s AND (
            SELECT owner_id FROM media_jobs_job WHERE {claimable} AND owner_id = share.owner_id
            AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) ORDER BY queued_at, id LIMIT 1
        ) IS NOT NULL ORDER BY share.served_at, share.id LIMIT 1
    ) AND NOT EXISTS (SELECT 1 FROM media_jobs_lane WHERE name = %(lane)s AND paused)
    ORDER BY queued_at, id LIMIT 1 {for_update}
"""
_CLAIMABLE = """
    lane = %(lane)s AND status = 'queued' AND leader_id IS NULL AND (not_before IS NULL OR not_before <= {now})
"""
_CLAIM = """
    UPDATE media_jobs_job SET
        status = 'running', worker_id = %(worker)s, token = %(token)s, lease_until = {until}, started_at = {now},
        phase = 'fetching', progress = 0, message = 'Starting', outputs = 0, not_before = NULL, command = '', log = ''
    WHERE id = ({next}) AND status = 'queued' AND leader_id IS NULL
"""
# A share that another worker has locked is skipped: that worker is writing served_at for the same owner.
_SERVE = """
    UPDATE media_jobs_share SET served_at = {served} WHERE id IN (
        SELECT share.id FROM media_jobs_share AS share
        JOIN claimed ON claimed.lane = share.lane AND claimed.owner_id = share.owner_id {for_serving}
    )
"""
_RECORD = """
    INSERT INTO uploads_transition (subject, subject_id, number, state, detail, created_at)
    SELECT 'job', claimed.id, 1 + COALESCE(
        (SELECT MAX(number) FROM uploads_transition WHERE subject = 'job' AND subject_id = claimed.id), 0
    ), 'running', 'attempt ' || (claimed.attempts + 1), {now} FROM claimed
"""
_ONE_STATEMENT = (
    f"WITH claimed AS ({_CLAIM} RETURNING *), served AS ({_SERVE}), recorded AS ({_RECORD}) SELECT * FROM claimed"  # noqa: S608
)
_CLAIMED = "WITH claimed AS (SELECT * FROM media_jobs_job WHERE token = %(token)s)"


def mark_running(worker: Worker, token: UUID) -> Job | None:
    """Give the worker the next job of its lane, with a lease. None: there is no job, or other workers hold the rows.

    IntegrityError: another worker claimed the job and gave it back during the statement. Try again.
    """
    if connection.vendor == "postgresql":
        release_connection()  # as `write` does: the connection that comes back has been checked
        return next(iter(Job.objects.raw(_sql(_ONE_STATEMENT), _parameters(worker, token))), None)
    with write():
        return Job.objects.get(token=token) if _claim_in_steps(_parameters(worker, token)) else None


def _claim_in_steps(parameters: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_sql(_CLAIM), parameters)
        if not cursor.rowcount:
            return False
        cursor.execute(_sql(f"{_CLAIMED} {_SERVE}"), parameters)
        cursor.execute(_sql(f"{_CLAIMED} {_RECORD}"), parameters)
    return True


def _parameters(worker: Worker, token: UUID) -> dict[str, Any]:
    ids = {"worker": worker.pk, "token": token}
    prepared = {name: models.UUIDField().get_db_prep_value(value, connection) for name, value in ids.items()}
    return {"lane": worker.lane, "lease": jobs().lease, **prepared}


def _sql(statement: str) -> str:
    """Fill in the expressions that differ between PostgreSQL and SQLite."""
    if connection.vendor == "postgresql":
        now = served = "statement_timestamp()"
        until = "statement_timestamp() + make_interval(secs => %(lease)s)"
        locks = {"for_update": "FOR UPDATE SKIP LOCKED", "for_serving": "FOR NO KEY UPDATE OF share SKIP LOCKED"}
    else:
        now = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"
        until = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %(lease)s || ' seconds')"
        # SQLite's clock counts milliseconds, and several owners may be served in one: each gets a later time.
        last = "(SELECT MAX(served_at) FROM media_jobs_share WHERE lane = %(lane)s)"
        served = f"MAX({now}, strftime('%%Y-%%m-%%d %%H:%%M:%%f', {last}, '+0.001 seconds'))"
        locks = {"for_update": "", "for_serving": ""}
    claimable = _CLAIMABLE.format(now=now)
    expressions = {"now": now, "until": until, "served": served}
    return statement.format(**expressions, next=_NEXT.format(claimable=claimable, **locks), **locks)
