"""Texts and numbers that lists and pages show of a job: status message, progress, speed, duration."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone

from uploads.text.times import human_time
from uploads.transfers.status_text import upload_progress

from .. import operations
from ..models import Job
from ..queue import status_text

QUEUED, UPLOADING = Job.Status.QUEUED, Job.Status.UPLOADING
# In a long queue, finding the position of each job costs ten times as much as the rest of a live row. So requests
# within one second share the result.
_CACHE_SECONDS = 1.0
_cached_lanes: dict[frozenset[str], tuple[float, status_text.Lanes]] = {}


def waiting_reasons(jobs: Iterable[Job]) -> dict[Any, str]:
    """What each waiting job waits for. The lanes are queried once for all jobs, and only if one waits."""
    waiting = [job for job in jobs if job.status in {QUEUED, UPLOADING}]
    if not waiting:
        return {}
    lanes = _lanes_for(waiting)
    return {job.pk: reason for job in waiting if (reason := status_text.waiting_for(job, lanes))}


def _lanes_for(waiting: list[Job]) -> status_text.Lanes:
    in_line = [job for job in waiting if job.status == QUEUED and job.leader_id is None]
    which = frozenset(job.lane for job in in_line)
    looked, lanes = _cached_lanes.get(which, (0.0, None))
    now = time.monotonic()
    if lanes is None or now - looked > _CACHE_SECONDS or _has_newcomers(in_line, lanes):
        lanes = status_text.Lanes.now(waiting)
        _cached_lanes[which] = now, lanes
    return lanes


def _has_newcomers(in_line: list[Job], lanes: status_text.Lanes) -> bool:
    """Whether a queued job is not in the cached result. It would wrongly be shown as last in a very long queue."""
    ready = {job.pk for job in in_line if job.not_before is None}
    return len(lanes.ahead) < status_text.MOST and not ready <= lanes.ahead.keys()


def status_message(job: Job, waiting_reason: str | None) -> str:
    """The message below the progress bar. `waiting_reason` is a sentence: "A free worker …"."""
    return waiting_message(waiting_reason) if job.status == QUEUED and waiting_reason else status_text.message_of(job)


def waiting_message(reason: str) -> str:
    return f"Waiting for {reason[0].lower()}{reason[1:]}"


def progress(job: Job) -> float | None:
    if job.status == UPLOADING and job.upload is not None:
        return upload_progress(job.upload)
    return job.progress


def operation_title(name: str) -> str:
    """The title of an operation; the name of one that no longer exists."""
    known = operations.registry.get(name)
    return known.title if known else name


def title(job: Job) -> str:
    return operation_title(job.operation)


def subject(job: Job) -> str:
    """The name of its file or upload."""
    if job.file is not None:
        return job.file.name
    return job.upload.name if job.upload is not None else "deleted file"


def speed(job: Job) -> str:
    return f"{job.speed:.1f}x" if job.speed is not None else ""


def left(job: Job) -> str:
    return human_time(job.eta_seconds) if job.eta_seconds is not None else ""


def duration_seconds(job: Job) -> float | None:
    """Seconds from start to end, or until now."""
    if job.started_at is None or job.status in {QUEUED, UPLOADING}:
        return None
    return round(max(0.0, ((job.finished_at or timezone.now()) - job.started_at).total_seconds()), 1)


def duration(job: Job) -> str:
    passed = duration_seconds(job)
    return "" if passed is None else _briefly(passed)


def time_between(begun: datetime, ended: datetime) -> str:
    return _briefly(max(0.0, (ended - begun).total_seconds()))


def _briefly(passed: float) -> str:
    return f"{passed:.1f} s" if passed < 10 else human_time(passed)
