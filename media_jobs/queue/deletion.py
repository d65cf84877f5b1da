"""How jobs go, and what goes with a file that people delete."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from django.db.models import QuerySet

from uploads import audit_log
from uploads.models import MediaFile
from uploads.runtime.database_connections import frees_room, write
from uploads.storage.files import delete_file
from uploads.transitions import past

from ..errors import NoSuchJob, NotFinished
from ..models import Job
from .control import cancel_at_once
from .states import lock_job


def let_go_of(file: MediaFile) -> None:
    """registry.file_deleting: what we began by ourselves goes with the file; what people wait for keeps it."""
    if kept := why_kept(file):
        raise NotFinished(kept)
    for job in _unfinished(file):
        cancel_at_once(job)
    for job in Job.objects.filter(file=file, automatic=True):
        with suppress(NoSuchJob):
            _remove(job)


def why_kept(file: MediaFile) -> str:
    """What people wait for, in words; nothing, where the file may go."""
    count = sum(not job.automatic for job in _unfinished(file))
    jobs = "1 unfinished job" if count == 1 else f"{count} unfinished jobs"
    return f"{jobs} of this file must end first. Wait, or cancel." if count else ""


def _unfinished(file: MediaFile) -> Collection[Job]:
    return {job.pk: job for jobs in uses_of(file) for job in jobs.filter(status__in=Job.UNFINISHED)}.values()


def uses_of(file: MediaFile, jobs: QuerySet[Job] | None = None) -> Sequence[QuerySet[Job]]:
    """Jobs on it, and those with it as a further input. Two queries: no index serves an OR over a join."""
    jobs = Job.objects.all() if jobs is None else jobs
    return jobs.filter(file=file), jobs.filter(inputs__file=file).distinct()


def _approve(file: MediaFile) -> None:
    """Nobody has to be asked."""


@frees_room
def delete_job(job: Job, *, keep_artifacts: bool = False, approve: Callable[[MediaFile], object] = _approve) -> None:
    """Remove a finished job, and what it made unless that is to stay. `approve` raises for a file that may not go."""
    with write():
        _remove(job, keep_artifacts=keep_artifacts, approve=approve)
        audit_log.note(job, "Deleted.", audit_log.DELETION)


def _remove(job: Job, *, keep_artifacts: bool = False, approve: Callable[[MediaFile], object] = _approve) -> None:
    with write():
        job = lock_job(job)
        if not job.is_finished:
            raise NotFinished("This job is not finished. Cancel it first.")
        made = [artifact.file for artifact in job.artifacts.select_related("file")]
        if not keep_artifacts:
            for file in made:
                approve(file)
            for file in made:
                delete_file(file)
        forget(job)


def forget(job: Job) -> None:
    """The row goes, and its past with it. In the caller's transaction, which holds the row."""
    past("job", job.pk).delete()
    job.delete()
