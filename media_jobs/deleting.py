"""How jobs go, and what goes with a file that people delete."""

from django.db.models import Q

from uploads.connections import write
from uploads.models import MediaFile, Transition
from uploads.storing import delete_file

from . import leases
from .errors import NotFinished
from .models import Job


def let_go_of(file: MediaFile) -> None:
    """registry.file_deleting: what we began by ourselves goes with the file; what people wait for keeps it."""
    uses = Q(file=file) | Q(inputs__file=file)
    unfinished = Job.objects.filter(uses, status__in=Job.UNFINISHED).distinct()
    if count := unfinished.filter(automatic=False).count():
        jobs = "1 unfinished job" if count == 1 else f"{count} unfinished jobs"
        raise NotFinished(f"{jobs} of this file must end first. Wait, or cancel.")
    for job in unfinished:
        leases.withdraw(job)
    for job in Job.objects.filter(file=file, automatic=True):
        delete_job(job)


def delete_job(job: Job, *, keep_artifacts: bool = False) -> None:
    """Remove a finished job, and what it made unless that is to stay."""
    with write():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if not job.is_finished:
            raise NotFinished("This job is not finished. Cancel it first.")
        made = [artifact.file for artifact in job.artifacts.select_related("file")]
        if not keep_artifacts:
            for file in made:
                delete_file(file)
        forget(job)


def forget(job: Job) -> None:
    """The row goes, and its past with it."""
    Transition.objects.filter(subject="job", subject_id=job.pk).delete()
    job.delete()
