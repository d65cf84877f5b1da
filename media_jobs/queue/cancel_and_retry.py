"""Cancel a job, and retry it: when a user asks for it, and automatically after a failure that may pass."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from uploads import audit_log
from uploads.models import MediaFile
from uploads.runtime.database_connections import frees_space, write
from uploads.storage.blobs import discard
from uploads.storage.files import keep_from_deletion

from ..conf import jobs
from ..errors import AlreadyFinished, Failure, NotFinished
from ..models import Job
from . import children, states
from .artifacts import bury_outputs, discard_outputs
from .notify import wake
from .single_flight import find_leader

Status = Job.Status
_LONGEST_PAUSE = timedelta(minutes=10)


@frees_space
def cancel(job: Job) -> Job:
    """Ask the worker of a running job to stop, or end a waiting job. It is cancelled within two seconds.

    The children of a job end with it: their workers lose the lease at the next heartbeat.
    """
    with write():
        job = states.lock_job(job)
        if job.is_finished:
            raise AlreadyFinished(f"This job has already ended. Its status is “{job.status}”.")
        if job.status == Status.RUNNING:
            Job.objects.filter(pk=job.pk, status=Status.RUNNING).update(cancel_asked=True)
        else:
            states.mark_cancelled(states.waiting(job), job)
            _end_children(job)
        audit_log.note(job, "Cancelled.")
        job.refresh_from_db()
    return job


def cancel_at_once(job: Job) -> None:
    """Cancel a job whose file is being deleted, in the transaction of the caller. Its worker loses the lease."""
    unfinished = Job.objects.filter(pk=job.pk, status__in=Job.UNFINISHED)
    _end_children(job)
    bury_outputs(unfinished)
    states.mark_cancelled(unfinished, job)
    transaction.on_commit(lambda: discard_outputs(job))


def _end_children(job: Job) -> None:
    keys = children.end_all(job)
    transaction.on_commit(lambda: discard(*keys))


@states.in_retried_transaction
def retry(job: Job) -> Job:
    """Run a failed or cancelled job again, from the beginning. Parts that its children have finished are used."""
    # Before the job's row is locked: deleting its file locks the file first, and a leader locks its followers.
    keep_from_deletion(list(MediaFile.objects.filter(jobs=job)))
    leader = find_leader(job.cache_key)
    job = states.lock_job(job)
    if not job.is_finished:
        raise NotFinished("This job is not finished. Cancel it first.")
    if job.status == Status.SUCCEEDED:
        raise AlreadyFinished("This job has succeeded. Only failed and cancelled jobs can be retried.")
    if job.file is None:
        raise AlreadyFinished("The file of this job was deleted, so the job cannot be retried.")
    states.mark_queued(
        Job.objects.filter(pk=job.pk, status=job.status), job, "retried", message="Waiting for another attempt",
        leader=leader, queued_at=Now(), attempts=0, error_code="", error_detail="", finished_at=None, started_at=None,
        pending_children=children.requeue_ended(job),
    )  # fmt: skip
    audit_log.note(job, "Retried.")
    if leader is None:
        transaction.on_commit(lambda: wake(job.lane))
    job.refresh_from_db()
    return job


def pause_before_retry(failure: Failure, attempts: int) -> timedelta | None:
    """How long a job waits until its next automatic attempt, after this number of failures. None: it has failed."""
    if failure.permanent or attempts >= (failure.attempts or jobs().attempts):
        return None
    pause: timedelta = failure.pause * 4 ** max(0, attempts - 1)
    return min(pause, _LONGEST_PAUSE)
