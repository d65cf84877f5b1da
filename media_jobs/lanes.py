"""Stopping a lane and letting it go on, and what is to be said of one."""

from dataclasses import dataclass

from .leases import is_paused
from .models import Job, Lane
from .results import live_workers
from .waking import wake_idle


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
