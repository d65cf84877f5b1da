"""What people ask of a job that is there: to stop, and to be run again."""

from django.db import transaction
from django.db.models.functions import Now

from uploads import audit_log
from uploads.models import MediaFile
from uploads.runtime.database_connections import frees_room, write
from uploads.storage.files import keep_from_deletion

from ..errors import AlreadyFinished, NotFinished
from ..models import Job
from .leases import bury_outputs, discard_attempt
from .notify import wake
from .single_flight import leader_of
from .states import cancel as end_cancelled
from .states import lock, queue, settled, waiting

Status = Job.Status


@frees_room
def cancel(job: Job) -> Job:
    """Ask a running job to stop; end one that does not run. It is cancelled within two seconds, with all it made."""
    with write():
        job = lock(job)
        if job.is_finished:
            raise AlreadyFinished(f"This job has {job.status} already.")
        if job.status == Status.RUNNING:
            Job.objects.filter(pk=job.pk, status=Status.RUNNING).update(cancel_asked=True)
        else:
            end_cancelled(waiting(job), job)
        audit_log.note(job, "Cancelled.")
        job.refresh_from_db()
    return job


def withdraw(job: Job) -> None:
    """Cancel it at once, under the hands of whoever runs it: its file goes. In the caller's transaction."""
    unfinished = Job.objects.filter(pk=job.pk, status__in=Job.UNFINISHED)
    bury_outputs(unfinished)
    end_cancelled(unfinished, job)
    transaction.on_commit(lambda: discard_attempt(job))


def retry(job: Job) -> Job:
    """Run a failed or cancelled job again, from the beginning, and say so to its lane."""
    return settled(lambda: _retry(job))


def _retry(job: Job) -> Job:
    # Before its own row is locked: who deletes its file locks that first; who leads locks those who follow.
    keep_from_deletion(list(MediaFile.objects.filter(jobs=job)))
    leader = leader_of(job.cache_key)
    job = lock(job)
    if not job.is_finished:
        raise NotFinished("This job is not finished. Cancel it first.")
    if job.status == Status.SUCCEEDED:
        raise AlreadyFinished("This job has succeeded: there is nothing to try again.")
    if job.file is None:
        raise AlreadyFinished("The file of this job is gone: there is nothing to run it on.")
    queue(
        Job.objects.filter(pk=job.pk, status=job.status), job, "asked to try again", message="Waits for another try",
        leader=leader, queued_at=Now(), attempts=0, error_code="", error_detail="", finished_at=None, started_at=None,
    )  # fmt: skip
    audit_log.note(job, "Tried again.")
    if leader is None:
        transaction.on_commit(lambda: wake(job.lane))
    job.refresh_from_db()
    return job
