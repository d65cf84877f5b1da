"""Finished jobs with artifacts as rows in a server's Django, without any work. Tests run these by Server.call."""

from pathlib import Path
from typing import Any

from django.utils import timezone
from model_bakery import baker

from media_jobs.models import Artifact, Job
from media_jobs.queue.texts import note
from tests.support.local_store import upload
from uploads.models import MediaFile


def finish_job(file: str, operation: str, folder: str, **params: Any) -> str:
    """A finished job of this file, with the files of a folder as its artifacts. Returns its id."""
    of = MediaFile.objects.get(pk=file)
    job: Job = baker.make(
        Job, file=of, owner=of.owner, operation=operation, params=params, lane="inference", status="succeeded",
        progress=1, finished_at=timezone.now(),
    )  # fmt: skip
    for path in Path(folder).iterdir():
        note(Artifact.objects.create(job=job, name=path.name, file=upload(of.owner, path.read_bytes(), path.name)))
    return str(job.pk)
