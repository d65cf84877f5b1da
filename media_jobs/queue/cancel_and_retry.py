"""Requests of people about an existing job: cancel and retry."""

from django.db import transaction
from django.db.models.functions import Now

from uploads import audit_log
from uploads.models import MediaFile
from uploads.runtime.database_connections import frees_space, write
from uploads.storage.files import keep_from_deletion

from ..errors import AlreadyFinished, NotFinished
from ..models import Job
from . import states
from .notify import wake
from .results import bury_outputs, discard_outputs
from .single_flight import find_leader

Status = Job.Status


@frees_space
def cancel(job: Job) -> Job:
    """Ask the worker of a running job to stop, or end a waiting job. It is cancelled within two seconds."""
    with write():
        job = states.lock_job(job)
        if job.is_finished:
            raise AlreadyFinished(f"This job has already ended. Its status is “{job.status}”.")
        if job.status == Status.RUNNING:
            Job.objects.filter(pk=job.pk, status=Status.RUNNING).update(cancel_asked=True)
        else:
            states.mark_cancelled(states.waiting(job), job)
        audit_log.note(job, "Cancelled.")
        job.refresh_from_db()
    return job


def cancel_at_once(job: Job) -> None:
    """Cancel a job whose file is being deleted, in the transaction of the caller. Its worker loses the lease."""
    unfinished = Job.objects.filter(pk=job.pk, status__in=Job.UNFINISHED)
    bury_outputs(unfinished)
    states.mark_cancelled(unfinished, job)
    transaction.on_commit(lambda: discard_outputs(job))


@states.in_retried_transaction
def retry(job: Job) -> Job:
    """Run a failed or cancelled job again, from the beginning."""
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
    )  # fmt: skip
    audit_log.note(job, "Retried.")
    if leader is None:
        transaction.on_commit(lambda: wake(job.lane))
    job.refresh_from_db()
    return job
