"""Panels on the page of a file: its finds, its transcript, media info, its jobs, and their artifacts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest

from uploads.admin.lists import cells
from uploads.hooks import DeletionPreview, Panel
from uploads.models import MediaFile
from uploads.text.sizes import human_size

from .. import permissions
from ..ffmpeg.probing.media_facts import stored_facts
from ..models import Arrival, Artifact, Job
from ..queue.deletion import uses_of, why_kept
from . import job_cells
from .clip_list import marking_panel
from .finds_panel import finds_panels
from .media_info import media_info, media_notes
from .transcript_panel import transcript_panel

_JOBS = 20
_ARTIFACTS = 60


def panels(request: HttpRequest, file: MediaFile) -> Sequence[Panel]:
    """The hook file_panels."""
    jobs = _jobs(request, file)
    of_file = permissions.visible_jobs(request.user).filter(file=file).order_by().values("pk")
    made = (
        Artifact.objects.filter(job__in=of_file).select_related("job", "file__blob").defer("job__command", "job__log")
    )
    origin = permissions.visible_jobs(request.user).filter(artifacts__file=file).select_related("file").first()
    return [
        *finds_panels(request, file),
        *transcript_panel(request, file),
        Panel("admin/media_jobs/file/artifacts.html", {"artifacts": _gallery(made)}),
        Panel("admin/media_jobs/file/jobs.html", {"jobs": _rows(jobs)}),
        Panel("admin/media_jobs/file/facts.html", _facts(file, jobs), place="side"),
        *_arrival(file),
        *marking_panel(request, file),
        *(
            [
                Panel(
                    "admin/media_jobs/file/origin.html",
                    {"job": origin, "title": job_cells.title(origin)},
                    place="side",
                )
            ]
            if origin
            else []
        ),
    ]


def _arrival(file: MediaFile) -> list[Panel]:
    """Which presets did not run on the new file, and why; or that they are still to run."""
    found = Arrival.objects.filter(pk=file.pk).first()
    return [Panel("admin/media_jobs/file/arrival.html", {"arrival": found}, place="side")] if found else []


def _jobs(request: HttpRequest, file: MediaFile) -> list[Job]:
    """The newest jobs, without commands and logs, which may be large."""
    visible = permissions.visible_jobs(request.user).select_related("file").defer("command", "log")
    ways = uses_of(file, visible.order_by("-created_at", "-id"))
    found = {job.pk: job for jobs in ways for job in jobs[:_JOBS]}
    return sorted(found.values(), key=lambda job: job.created_at, reverse=True)[:_JOBS]


def _facts(file: MediaFile, jobs: Sequence[Job]) -> dict[str, Any]:
    inspects = [job for job in jobs if job.operation == "inspect" and job.file_id == file.pk]
    return {
        **_read(file),
        "is_awaited": any(not job.is_finished for job in inspects),
        "failed": next((job for job in inspects if job.status == Job.Status.FAILED), None),
    }


def _read(file: MediaFile) -> dict[str, Any]:
    facts = stored_facts(file.facts)
    if facts is None:
        return {"is_outdated": bool(file.facts)}
    return {
        "groups": media_info(facts, file.blob.kind),
        "notes": media_notes(facts),
        "is_outdated": facts.is_outdated,
    }


def _rows(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    waits = job_cells.waiting_reasons(jobs)
    return [
        {
            "job": job,
            "title": job_cells.title(job),
            "status": cells.state_badge(job, job.status, job.get_status_display(), is_active=not job.is_finished),
            "bar": cells.progress_bar(job, job_cells.progress(job), job_cells.status_message(job, waits.get(job.pk))),
        }
        for job in jobs
    ]


def _gallery(made: QuerySet[Artifact]) -> list[dict[str, Any]]:
    newest = made.order_by("-job__created_at", "name")[:_ARTIFACTS]
    return [
        {
            "artifact": artifact,
            "title": job_cells.title(artifact.job),
            "size": human_size(artifact.file.blob.size),
            "icon": {"video": "movie", "audio": "graphic_eq"}.get(artifact.file.blob.kind, "draft"),
        }
        for artifact in newest
    ]


def pictures(files: Collection[UUID]) -> Mapping[UUID, UUID]:
    """The hook file_pictures: the pictures that automatic inspection made."""
    drawn = Artifact.objects.filter(job__file__in=files, job__automatic=True, file__blob__kind="image")
    return {of: picture for of, picture in drawn.values_list("job__file_id", "file_id") if of is not None}


def going(file: MediaFile) -> DeletionPreview:
    """The hook file_deletion_previews: automatic jobs are deleted with the file; other jobs prevent its deletion."""
    if kept := why_kept(file):
        return DeletionPreview(kept=kept)
    ours = Job.objects.filter(file=file, automatic=True).prefetch_related("artifacts__file")
    made = [f"{artifact.name} (artifact)" for job in ours for artifact in job.artifacts.all()]
    return DeletionPreview([*[f"{job_cells.title(job)} (automatic job)" for job in ours], *made])
