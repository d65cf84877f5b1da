"""The metadata of jobs in the index of the search: a job's finds its file, for those who may see the job."""

from collections.abc import Collection, Iterable, Iterator

from django.db.models import Exists, OuterRef, Q

from uploads.access.permissions import Account
from uploads.hooks import TextAbout, TextSource
from uploads.models import MediaFile
from uploads.text_index import add_texts, text_of_metadata

from .. import permissions
from ..models import Job

SOURCE = "job"


def index_metadata(*jobs: Job) -> None:
    """In the transaction that inserts jobs, or gives them their files."""
    add_texts(SOURCE, _texts(jobs))


def _texts(jobs: Iterable[Job]) -> Iterator[TextAbout]:
    for job in jobs:
        if job.metadata and job.file is not None:
            yield TextAbout(job.file, job.pk, text_of_metadata(job.metadata))


def _texts_of(files: Collection[MediaFile]) -> Iterator[TextAbout]:
    described = Job.objects.filter(file__in=files, metadata__isnull=False)
    yield from _texts(described.select_related("file").only("metadata", "file").order_by("created_at"))


def _visible(user: Account) -> Q | None:
    if permissions.sees_all_jobs(user):
        return None
    return Q(Exists(Job.objects.filter(pk=OuterRef("about"), owner_id=user.pk)))


TEXTS = TextSource(SOURCE, _texts_of, _visible, "job-detail", "admin:media_jobs_job_change")
