"""The front page: what arrives, what runs, what waits and why, what failed today, how much room is left.

It is drawn anew every few seconds while somebody looks at it, so each part asks for a few rows by an index, and
counts no further than it says.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from uploads import hooks
from uploads.access import policy as of_files
from uploads.admin.lists import cells
from uploads.conf import finite, limits, sink
from uploads.models import Upload
from uploads.runtime.ballast_file import RELEASED, ballast
from uploads.sinks.base import SinkError
from uploads.text.sizes import human_size
from uploads.transfers.disk_space import floor, reserved_bytes
from uploads.transfers.status_text import upload_message, upload_progress

from .. import policy
from ..models import Job
from ..operations.base import LANES
from ..queue import status_text
from ..queue.lanes import overview, troubles
from ..worker.process_table import process_troubles

SHOWN = 8
_MOST = 100
_TODAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, and how many there are in all, as far as anybody wants to know."""

    rows: list[Any]
    count: str


def _part(found: QuerySet[Any]) -> Part:
    rows = list(found[: _MOST + 1])
    return Part(rows[:SHOWN], f"{_MOST}+" if len(rows) > _MOST else str(len(rows)))


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK."""
    return context | _now(request)


def now(request: HttpRequest) -> HttpResponse:
    """What moves of the page, to be put in its place."""
    return render(request, "admin/dashboard_live.html", _now(request))


def _now(request: HttpRequest) -> dict[str, Any]:
    uploads, jobs = of_files.visible_uploads(request.user), policy.visible_jobs(request.user).select_related("file")
    since = timezone.now() - _TODAY
    waiting = _part(jobs.filter(status__in=[Job.Status.UPLOADING, Job.Status.QUEUED]).order_by("queued_at"))
    lanes = status_text.Lanes.now(waiting.rows)
    return {
        "arriving": _arriving(uploads),
        "running": _running(jobs),
        "waiting": waiting,
        "reasons": [(job, _of(job), status_text.waiting_for(job, lanes)) for job in waiting.rows],
        "failed_jobs": _failed(jobs, since),
        "failed_uploads": _part(_of_today(uploads, since).filter(state=Upload.State.FAILED)),
        "lanes": [(lane, overview(lane)) for lane in LANES],
        "troubles": [*troubles(), *process_troubles(), *(warning.words for warning in hooks.current_warnings())],
        "space": _space(),
        "at": timezone.now(),
    }


def _arriving(uploads: QuerySet[Upload]) -> Part:
    found = _part(uploads.filter(state=Upload.State.RECEIVING).order_by("-created_at", "-id"))
    rows = [(row, cells.progress_bar(row, upload_progress(row), upload_message(row))) for row in found.rows]
    return Part(rows, found.count)


def _running(jobs: QuerySet[Job]) -> Part:
    found = _part(jobs.filter(status=Job.Status.RUNNING).order_by("-started_at"))
    rows = [(job, _of(job), cells.progress_bar(job, job.progress, status_text.message_of(job))) for job in found.rows]
    return Part(rows, found.count)


def _failed(jobs: QuerySet[Job], since: Any) -> Part:
    found = _part(jobs.filter(status=Job.Status.FAILED, finished_at__gte=since).order_by("-finished_at"))
    return Part([(job, _of(job)) for job in found.rows], found.count)


def _of(job: Job) -> str:
    """The name of what it works on, as far as that is still known."""
    source = job.file or job.upload
    return source.name if source else ""


def _of_today(uploads: QuerySet[Upload], since: Any) -> QuerySet[Upload]:
    # By when they began, which has an index: one that took longer than a day is on the list of uploads.
    return uploads.filter(created_at__gte=since).order_by("-created_at", "-id")


def _space() -> dict[str, Any]:
    """Room on the disk, as uploads are given it."""
    try:
        free = sink().free()
    except SinkError:
        return {"trouble": "The disk does not answer. Nothing can be taken in."}
    if free is None:
        return {"free": "as much as the store has"}
    taken = reserved_bytes(sink())
    left = max(0, free - taken - floor())
    return {
        "free": human_size(left),
        "promised": human_size(taken),
        "kept": human_size(floor()),
        "trouble": _trouble(left),
    }


def _trouble(left: int) -> str:
    largest = finite(limits().max_file_size)
    few = "" if largest is None or left > largest else "Less is left than the largest file may have."
    return RELEASED if ballast().is_released else few
