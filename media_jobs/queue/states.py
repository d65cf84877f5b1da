"""The only module that changes the status of jobs.

    uploading → queued → running → succeeded | failed | cancelled

Each change is one conditional UPDATE whose row count is checked. The argument `found` is a queryset that
contains the job only if its status may still change: either `waiting(job)`, or one that filters by the token of the
caller's lease. Each function runs in the
transaction of its caller, records the Transition and the metrics, and returns whether the status changed.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, models
from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Now

from uploads.models import Transition
from uploads.runtime.database_connections import release_connection, write

from ..conf import jobs
from ..errors import Failure, NoSuchJob
from ..models import Job, Worker
from ..subscriptions import job_finished
from .job_metrics import count_end, count_ends
from .scheduling import SERVE_OWNER, Room, sql
from .single_flight import promote

Status = Job.Status
P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 5
_RESET: dict[str, Any] = {
    "token": None, "lease_until": None, "phase": "", "speed": None, "eta_seconds": None, "cancel_asked": False,
    "pending_children": 0, "at_endpoint": False,
}  # fmt: skip


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
        _record(job, Status.QUEUED, reason)
    return bool(done)


def mark_succeeded(
    found: QuerySet[Job], job: Job, reason: str = "", *, message: str = "", cached: bool = False, **changes: Any
) -> bool:
    done = found.update(
        **(_RESET | changes), status=Status.SUCCEEDED, progress=1, finished_at=Now(), cached=cached,
        message=message[:255] or "Done",
    )  # fmt: skip
    if done:
        _record(job, Status.SUCCEEDED, reason)
        _ended(job, Status.SUCCEEDED, cached=cached)
    return bool(done)


def mark_failed(found: QuerySet[Job], job: Job, failure: Failure, **changes: Any) -> bool:
    done = found.update(
        **(_RESET | changes), status=Status.FAILED, finished_at=Now(), leader=None, outputs=0,
        error_code=failure.code, error_detail=failure.detail[:500], message=failure.detail[:255],
    )  # fmt: skip
    if done:
        _record(job, Status.FAILED, f"{failure.code}: {failure.detail}")
        _ended(job, Status.FAILED, failure.code)
    return bool(done)


def mark_cancelled(found: QuerySet[Job], job: Job) -> bool:
    """Also let the oldest follower of the job lead the others."""
    done = found.update(
        **_RESET, status=Status.CANCELLED, finished_at=Now(), leader=None, outputs=0, message="Cancelled",
        attempts=F("attempts") + Case(When(status=Status.RUNNING, then=1), default=0),
    )  # fmt: skip
    if done:
        _record(job, Status.CANCELLED)
        _ended(job, Status.CANCELLED)
        promote(job)
    return bool(done)


def mark_cancelled_together(jobs: Sequence[Job]) -> Sequence[Job]:
    """Cancel queued jobs, whose rows the caller has locked, with one UPDATE.

    Returns those that are left: others follow them, or they have children.
    """
    # Read after the lock: who follows a job has locked it first.
    led = set(Job.objects.filter(leader__in=jobs, status=Status.QUEUED).values_list("leader", flat=True))
    alone = [job for job in jobs if job.pk not in led and not job.pending_children]
    ids = [job.pk for job in alone]
    found = Job.objects.filter(pk__in=ids, status=Status.QUEUED)
    done = found.update(
        **_RESET, status=Status.CANCELLED, finished_at=Now(), leader=None, outputs=0, message="Cancelled"
    )
    if done != len(ids):
        raise IntegrityError("A job changed although its row was locked.")
    Transition.record_many("job", ids, Status.CANCELLED)
    count_ends(alone, Status.CANCELLED)
    for job in alone:
        _announce(job)
    return [job for job in jobs if job not in alone]


def cancel_children(parent: Job) -> None:
    """End the unfinished children of a job that has failed. Their workers lose the lease."""
    unfinished = Job.with_children.filter(parent=parent, status__in=[Status.QUEUED, Status.RUNNING])
    unfinished.update(**_RESET, status=Status.CANCELLED, finished_at=Now(), outputs=0, message="Cancelled")


def queue_children_again(ended: QuerySet[Job]) -> int:
    """Queue children that have ended, from the beginning. Returns how many."""
    return ended.update(
        **_RESET, status=Status.QUEUED, progress=0, outputs=0, not_before=None, attempts=0, error_code="",
        error_detail="", message="", started_at=None, finished_at=None,
    )  # fmt: skip


def _record(job: Job, status: str, reason: str = "") -> None:
    """Add to the job's timeline. A child has none."""
    if job.parent_id is None:
        Transition.record("job", job.pk, status, reason)


def _ended(job: Job, result: str, reason: str = "", *, cached: bool = False) -> None:
    """Count and announce the end of a job. Children are no jobs to others."""
    if job.parent_id is None:
        count_end(job, result, reason, cached=cached)
        _announce(job)


def _announce(job: Job) -> None:
    job_finished.announce(lambda: Job.objects.select_related("file__blob").filter(pk=job.pk).first())


# The claim is raw SQL, as workers ask for it hundreds of times a second and wait for each other meanwhile. On
# PostgreSQL it is one statement: one round trip, and no lock that outlasts it. On SQLite it is three statements made
# of the same parts.
_CLAIM = """
    UPDATE media_jobs_job SET
        status = 'running', worker_id = %(worker)s, token = %(token)s, lease_until = {until}, started_at = {now},
        phase = 'fetching', progress = 0, message = 'Starting', outputs = 0, not_before = NULL, command = '', log = ''
    WHERE id = ({next}) AND status = 'queued' AND leader_id IS NULL AND pending_children = 0
"""
_RECORD = """
    INSERT INTO uploads_transition (subject, subject_id, number, state, detail, created_at)
    SELECT 'job', claimed.id, 1 + COALESCE(
        (SELECT MAX(number) FROM uploads_transition WHERE subject = 'job' AND subject_id = claimed.id), 0
    ), 'running', 'attempt ' || (claimed.attempts + 1), {now} FROM claimed WHERE claimed.parent_id IS NULL
"""
_CLAIM_SERVE_RECORD = f"WITH claimed AS ({_CLAIM} RETURNING *), served AS ({SERVE_OWNER}), recorded AS ({_RECORD})"
_ONE_STATEMENT = f"{_CLAIM_SERVE_RECORD} SELECT * FROM claimed"  # noqa: S608
_CLAIMED = "WITH claimed AS (SELECT * FROM media_jobs_job WHERE token = %(token)s)"


def mark_running(worker: Worker, token: UUID, room: Room | None = None) -> Job | None:
    """Give the worker the next job of its lane, with a lease. None: there is no job, or other workers hold the rows.

    `room`: the worker's space for inputs, if it has to fetch them.

    IntegrityError: another worker claimed the job and gave it back during the statement. Try again.
    """
    if connection.vendor == "postgresql":
        release_connection()  # as `write` does: the connection that comes back has been checked
        return next(iter(Job.objects.raw(sql(_ONE_STATEMENT, room), _parameters(worker, token, room))), None)
    with write():
        parameters = _parameters(worker, token, room)
        return Job.with_children.get(token=token) if _claim_in_steps(parameters, room) else None


def _claim_in_steps(parameters: dict[str, Any], room: Room | None) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql(_CLAIM, room), parameters)
        if not cursor.rowcount:
            return False
        cursor.execute(sql(f"{_CLAIMED} {SERVE_OWNER}"), parameters)
        cursor.execute(sql(f"{_CLAIMED} {_RECORD}"), parameters)
    return True


def _parameters(worker: Worker, token: UUID, room: Room | None) -> dict[str, Any]:
    ids = {"worker": worker.pk, "token": token}
    prepared = {name: models.UUIDField().get_db_prep_value(value, connection) for name, value in ids.items()}
    return {"lane": worker.lane, "lease": jobs().lease, **prepared, **(room.parameters if room else {})}
