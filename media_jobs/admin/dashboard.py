"""The dashboard: running uploads and jobs, waiting jobs with their reasons, recent failures, free disk space.

Open dashboards reload every four seconds. So each part reads a few rows by an index, and counts only up to 100.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from uploads import hooks
from uploads.access import permissions as of_files
from uploads.admin.lists import cells
from uploads.conf import finite, limits
from uploads.models import Upload
from uploads.runtime.ballast_file import RELEASED, ballast
from uploads.sinks.base import SinkError
from uploads.storage.stores import sink
from uploads.text.sizes import human_size
from uploads.transfers.disk_space import floor, reserved_bytes
from uploads.transfers.status_text import upload_message, upload_progress

from .. import permissions
from ..models import Job
from ..operations.base import LANES
from ..queue import status_text
from ..queue.lanes import overview, troubles
from ..worker.process_table import process_troubles
from . import job_cells

SHOWN = 8
_MAX_COUNT = 100
_RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that are shown, and the number of all rows, up to "100+"."""

    rows: list[Any]
    count: str


def _part(found: QuerySet[Any]) -> Part:
    rows = list(found[: _MAX_COUNT + 1])
    return Part(rows[:SHOWN], f"{_MAX_COUNT}+" if len(rows) > _MAX_COUNT else str(len(rows)))


def add_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK: the context of the dashboard."""
    return context | _context(request)


def live(request: HttpRequest) -> HttpResponse:
    """The content of the dashboard, which live.js replaces regularly."""
    return render(request, "admin/dashboard_live.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    uploads, jobs = (
        of_files.visible_uploads(request.user),
        permissions.visible_jobs(request.user).select_related("file"),
    )
    since = timezone.now() - _RECENT
    waiting = _part(jobs.filter(status__in=[Job.Status.UPLOADING, Job.Status.QUEUED]).order_by("queued_at"))
    lanes = status_text.Lanes.now(waiting.rows)
    return {
        "uploading": _uploading(uploads),
        "running": _running(jobs),
        "waiting": waiting,
        "reasons": [(job, _file_name(job), _reason(job, lanes)) for job in waiting.rows],
        "failed_jobs": _failed(jobs, since),
        "failed_uploads": _part(_recent(uploads, since).filter(state=Upload.State.FAILED)),
        "lanes": [(lane, overview(lane)) for lane in LANES],
        "warnings": _warnings(),
        "space": _space(),
        "at": timezone.now(),
    }


def _reason(job: Job, lanes: status_text.Lanes) -> str:
    reason = status_text.waiting_for(job, lanes)
    return job_cells.waiting_message(reason) if reason else ""


def _warnings() -> list[str]:
    """All current warnings. `troubles` names each lane without workers; the warning of it would be a second one."""
    others = [warning.words for warning in hooks.current_warnings() if not warning.code.startswith("lane_dead:")]
    return [*troubles(), *process_troubles(), *others]


def _uploading(uploads: QuerySet[Upload]) -> Part:
    found = _part(uploads.filter(state=Upload.State.RECEIVING).order_by("-created_at", "-id"))
    rows = [(row, cells.progress_bar(row, upload_progress(row), upload_message(row))) for row in found.rows]
    return Part(rows, found.count)


def _running(jobs: QuerySet[Job]) -> Part:
    found = _part(jobs.filter(status=Job.Status.RUNNING).order_by("-started_at"))
    rows = [
        (job, _file_name(job), cells.progress_bar(job, job.progress, status_text.message_of(job)))
        for job in found.rows
    ]
    return Part(rows, found.count)


def _failed(jobs: QuerySet[Job], since: Any) -> Part:
    found = _part(jobs.filter(status=Job.Status.FAILED, finished_at__gte=since).order_by("-finished_at"))
    return Part([(job, _file_name(job)) for job in found.rows], found.count)


def _file_name(job: Job) -> str:
    """The name of its file or upload; empty if both were deleted."""
    source = job.file or job.upload
    return source.name if source else ""


def _recent(uploads: QuerySet[Upload], since: Any) -> QuerySet[Upload]:
    # By start, which has an index. Uploads that took longer than a day are missing here, but are in the list.
    return uploads.filter(created_at__gte=since).order_by("-created_at", "-id")


def _space() -> dict[str, Any]:
    """Free space on the disk, after the reservations of unfinished uploads and the space that stays free."""
    try:
        free = sink().free()
    except SinkError:
        return {"warning": "The storage cannot be read. Uploads are refused."}
    if free is None:
        return {"is_unlimited": True, "warning": RELEASED if ballast().is_released else ""}
    taken = reserved_bytes(sink())
    left = max(0, free - taken - floor())
    return {
        "free": human_size(left),
        "reserved": human_size(taken),
        "kept_free": human_size(floor()),
        "warning": _warning(left),
    }


def _warning(left: int) -> str:
    largest = finite(limits().max_file_size)
    few = "" if largest is None or left > largest else "Less space is free than a file may have at most."
    return RELEASED if ballast().is_released else few
