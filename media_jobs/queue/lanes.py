"""Stopping a lane and letting it go on, and what is to be said of one."""

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
from ..operations.base import LANES
from .leases import claimable, is_paused, lacking
from .notify import wake_idle

# As long as slots.py gives a worker before it takes itself for deaf, and a little.
_UNHEARD = timedelta(seconds=35)


@dataclass(frozen=True, slots=True)
class Overview:
    paused: bool
    workers: int
    running: int
    queued: int


def pause(lane: str) -> None:
    """Start no job of it any more. What runs goes on to its end."""
    Lane.objects.update_or_create(name=lane, defaults={"paused": True})


def resume(lane: str) -> None:
    Lane.objects.update_or_create(name=lane, defaults={"paused": False})
    wake_idle()


def overview(lane: str) -> Overview:
    of_lane = Job.objects.filter(lane=lane)
    return Overview(
        paused=is_paused(lane),
        workers=Worker.live().filter(lane=lane).count(),
        running=of_lane.filter(status=Job.Status.RUNNING).count(),
        queued=of_lane.filter(status=Job.Status.QUEUED).count(),
    )


@dataclass(frozen=True, slots=True)
class Load:
    """Of a lane, for /metrics."""

    queued: int
    running: int
    oldest_wait: float  # seconds since the oldest of those was queued
    workers: int


def loads() -> dict[str, Load]:
    """By lane. Three queries, each by an index that holds what waits, runs or lives, and nothing else."""
    waiting = Job.objects.filter(status=Job.Status.QUEUED, leader=None).order_by().values_list("lane")
    waits = {lane: (number, oldest) for lane, number, oldest in waiting.annotate(Count("pk"), Min("queued_at"))}
    running = _numbers(Job.objects.filter(status=Job.Status.RUNNING))
    workers = _numbers(Worker.live())
    now = timezone.now()
    return {
        lane: Load(number, running.get(lane, 0), _seconds(oldest, now), workers.get(lane, 0))
        for lane in LANES
        for number, oldest in [waits.get(lane, (0, None))]
    }


def _numbers(found: QuerySet[Any]) -> dict[str, int]:
    return dict(found.order_by().values_list("lane").annotate(Count("pk")))


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def warnings() -> Iterator[ServiceWarning]:
    """Lanes in which jobs wait, and no worker lives to run them."""
    long_ago = Now() - _UNHEARD
    manned = set(Worker.live().values_list("lane", flat=True))
    for lane in LANES:
        if lane not in manned and _is_overdue(lane, long_ago):
            words = f"Jobs wait in the lane {lane}, and no worker of it is running."
            yield ServiceWarning(f"lane_dead:{lane}", words)


def troubles() -> list[str]:
    """Lanes whose jobs nobody runs, and workers that live and do nothing about them; in sentences."""
    manned = set(Worker.live().values_list("lane", flat=True))
    missing = [f"No worker of the lane {lane} is running." for lane in LANES if lane not in manned]
    deaf = Counter(worker.lane for worker in _deaf())
    return missing + [
        f"Jobs wait in the lane {lane}, and of its idle workers, {number} do not take them."
        for lane, number in deaf.items()
    ]


def _deaf() -> list[Worker]:
    """Idle, though their lane has had work for longer than any word of it needs."""
    long_ago = Now() - _UNHEARD
    idle = Worker.live().filter(state=Worker.State.IDLE, heard_at__lt=long_ago)
    if not idle.exists() or lacking():
        return []
    overdue = {lane for lane in LANES if _is_overdue(lane, long_ago)}
    return [worker for worker in idle if worker.lane in overdue]


def _is_overdue(lane: str, long_ago: Any) -> bool:
    ready = Q(not_before=None) | Q(not_before__lt=long_ago)
    return not is_paused(lane) and claimable(lane).filter(ready, queued_at__lt=long_ago).exists()
