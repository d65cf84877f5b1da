"""Pausing and resuming lanes, and their state for people, metrics and warnings."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from uploads.hooks import ServiceWarning

from ..models import Job, Lane, Worker
from ..operations.base import INFERENCE, LANES
from ..understanding import extras
from . import upload_checks
from .notify import wake_idle
from .scheduling import Room, claimable, is_paused, lacking, rooms

# A little longer than worker/slot.py waits before a worker without messages restarts itself.
_OVERDUE = timedelta(seconds=35)


@dataclass(frozen=True, slots=True)
class Overview:
    paused: bool
    workers: int
    running: int
    queued: int


def pause(lane: str) -> None:
    """Start no more jobs of the lane. Running jobs continue."""
    Lane.objects.update_or_create(name=lane, defaults={"paused": True})


def resume(lane: str) -> None:
    Lane.objects.update_or_create(name=lane, defaults={"paused": False})
    wake_idle()


def overview(lane: str) -> Overview:
    of_lane = Job.objects.filter(lane=lane)
    return Overview(
        paused=is_paused(lane),
        workers=Worker.live().filter(lane=lane).count(),
        running=of_lane.filter(status=Job.Status.RUNNING).count() + upload_checks.running(lane).count(),
        queued=of_lane.filter(status=Job.Status.QUEUED).count() + upload_checks.waiting(lane).count(),
    )


@dataclass(frozen=True, slots=True)
class Load:
    """The state of a lane for /metrics."""

    queued: int
    running: int
    oldest_wait: float  # seconds since the oldest of the queued jobs was queued
    workers: int


def loads() -> dict[str, Load]:
    """The load of each lane. Few queries, each answered from a partial index or a small table."""
    waiting = Job.objects.filter(status=Job.Status.QUEUED, leader=None).order_by().values_list("lane")
    waits = {lane: (number, oldest) for lane, number, oldest in waiting.annotate(Count("pk"), Min("queued_at"))}
    running = _count_by_lane(Job.objects.filter(status=Job.Status.RUNNING))
    workers = _count_by_lane(Worker.live())
    now = timezone.now()
    found = {}
    for lane in LANES:
        number, oldest = waits.get(lane, (0, None))
        checks = upload_checks.waiting(lane).aggregate(number=Count("pk"), oldest=Min("sent_at"))
        found[lane] = Load(
            queued=number + checks["number"],
            running=running.get(lane, 0) + upload_checks.running(lane).count(),
            oldest_wait=max(_seconds(oldest, now), _seconds(checks["oldest"], now)),
            workers=workers.get(lane, 0),
        )
    return found


def _count_by_lane(found: QuerySet[Any]) -> dict[str, int]:
    return dict(found.order_by().values_list("lane").annotate(Count("pk")))


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def warnings() -> Iterator[ServiceWarning]:
    """hooks.warnings: lanes in which jobs wait without a live worker."""
    long_ago = Now() - _OVERDUE
    with_workers = set(Worker.live().values_list("lane", flat=True))
    for lane in LANES:
        if lane not in with_workers and _is_overdue(lane, long_ago):
            words = f"Jobs wait in the lane {lane}, and it has no running worker."
            yield ServiceWarning(f"lane_dead:{lane}", words)


def troubles() -> list[str]:
    """Sentences about lanes without workers, and about idle workers that do not take waiting jobs."""
    with_workers = set(Worker.live().values_list("lane", flat=True))
    needed = [lane for lane in LANES if lane != INFERENCE or extras.runs_models()]
    missing = [f"No worker of the lane {lane} is running." for lane in needed if lane not in with_workers]
    deaf = Counter(worker.lane for worker in _deaf_workers())
    return missing + [
        f"Jobs wait in the lane {lane}, but {number} idle worker{' does' if number == 1 else 's do'} not take them."
        for lane, number in deaf.items()
    ]


def _deaf_workers() -> list[Worker]:
    """Workers that are idle although their lane has had work for longer than a message takes."""
    long_ago = Now() - _OVERDUE
    idle = Worker.live().filter(state=Worker.State.IDLE, heard_at__lt=long_ago)
    if not idle.exists() or lacking():
        return []
    overdue = {lane for lane, room in rooms(idle).items() if _is_overdue(lane, long_ago, room)}
    return [worker for worker in idle if worker.lane in overdue]


def _is_overdue(lane: str, long_ago: Any, room: Room | None = None) -> bool:
    ready = Q(not_before=None) | Q(not_before__lt=long_ago)
    if is_paused(lane):
        return False
    jobs, checks = claimable(lane, room).filter(ready, queued_at__lt=long_ago), upload_checks.waiting(lane)
    return jobs.exists() or checks.filter(ready, sent_at__lt=long_ago).exists()
