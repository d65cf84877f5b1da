"""Stopping a lane and letting it go on, and what is to be said of one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import Now

from .leases import claimable, is_paused, lacking
from .models import Job, Lane, Worker
from .operations.base import LANES
from .results import live_workers
from .waking import wake_idle

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
        workers=live_workers().filter(lane=lane).count(),
        running=of_lane.filter(status=Job.Status.RUNNING).count(),
        queued=of_lane.filter(status=Job.Status.QUEUED).count(),
    )


def lengths() -> Iterable[tuple[str, str, int]]:
    """How many jobs wait for a worker in each lane, and how many run. Each goes by an index of these few alone."""
    for status, found in (
        (Job.Status.QUEUED, Job.objects.filter(leader=None)),
        (Job.Status.RUNNING, Job.objects.all()),
    ):
        numbers = found.filter(status=status).order_by().values_list("lane").annotate(number=Count("pk"))
        counted = dict(numbers)
        yield from ((lane, status, counted.get(lane, 0)) for lane in LANES)


def troubles() -> list[str]:
    """Lanes whose jobs nobody runs, and workers that live and do nothing about them; in sentences."""
    manned = set(live_workers().values_list("lane", flat=True))
    missing = [f"No worker of the lane {lane} is running." for lane in LANES if lane not in manned]
    deaf = Counter(worker.lane for worker in _deaf())
    return missing + [
        f"Jobs wait in the lane {lane}, and of its idle workers, {number} do not take them."
        for lane, number in deaf.items()
    ]


def _deaf() -> list[Worker]:
    """Idle, though their lane has had work for longer than any word of it needs."""
    long_ago = Now() - _UNHEARD
    idle = live_workers().filter(state=Worker.State.IDLE, heard_at__lt=long_ago)
    if not idle.exists() or lacking():
        return []
    overdue = {lane for lane in LANES if _is_overdue(lane, long_ago)}
    return [worker for worker in idle if worker.lane in overdue]


def _is_overdue(lane: str, long_ago: Any) -> bool:
    ready = Q(not_before=None) | Q(not_before__lt=long_ago)
    return not is_paused(lane) and claimable(lane).filter(ready, queued_at__lt=long_ago).exists()
