"""Deleting jobs, and what deleting a file does to its jobs."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from django.db import transaction
from django.db.models import QuerySet

from uploads import audit_log
from uploads.models import MediaFile, Transition
from uploads.runtime.database_connections import frees_space, write
from uploads.storage.blobs import discard
from uploads.storage.files import delete_file
from uploads.text_index import remove_texts

from ..errors import NoSuchJob, NotFinished
from ..models import Job
from . import children
from .cancel_and_retry import cancel_at_once
from .states import lock_job


def release_file(file: MediaFile) -> None:
    """hooks.file_deleting: delete the automatic jobs of a file, and cancel those that run because it arrived.

    NotFinished: it has unfinished jobs that people submitted.
    """
    if kept := why_kept(file):
        raise NotFinished(kept)
    for job in _unfinished(file):
        cancel_at_once(job)
    for job in Job.objects.filter(file=file, automatic=True):
        with suppress(NoSuchJob):
            _delete(job)


def why_kept(file: MediaFile) -> str:
    """Why unfinished jobs keep the file, in a sentence; empty if they do not."""
    count = sum(not (job.automatic or job.on_arrival) for job in _unfinished(file))
    if count == 1:
        return "This file has 1 unfinished job. Wait until it ends, or cancel it."
    return f"This file has {count} unfinished jobs. Wait until they end, or cancel them." if count else ""


def _unfinished(file: MediaFile) -> Collection[Job]:
    return {job.pk: job for jobs in uses_of(file) for job in jobs.filter(status__in=Job.UNFINISHED)}.values()


def uses_of(file: MediaFile, jobs: QuerySet[Job] | None = None) -> Sequence[QuerySet[Job]]:
    """Jobs on the file, and jobs with it as a further input. Two queries, as no index serves an OR over a join."""
    jobs = Job.objects.all() if jobs is None else jobs
    return jobs.filter(file=file), jobs.filter(inputs__file=file).distinct()


def _approve(file: MediaFile) -> None:
    """Allow it."""


@frees_space
def delete_job(job: Job, *, keep_artifacts: bool = False, approve: Callable[[MediaFile], object] = _approve) -> None:
    """Delete a finished job, and the files it made unless they are to be kept.

    `approve` raises a Refusal for a file that may not be deleted.
    """
    with write():
        _delete(job, keep_artifacts=keep_artifacts, approve=approve)
        audit_log.note(job, "Deleted.", audit_log.DELETION)


def _delete(job: Job, *, keep_artifacts: bool = False, approve: Callable[[MediaFile], object] = _approve) -> None:
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
    """Delete the row, its children and its timeline, in the transaction of the caller, which has locked the row."""
    keys = children.end_all(job)
    transaction.on_commit(lambda: discard(*keys))
    Transition.history("job", job.pk).delete()
    remove_texts(job.pk)
    job.delete()
