"""The message that a lane has work. It says no more: which job, the worker asks the database.

A message that is lost costs a second, until housekeeping sends another; one too many costs a worker one look.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from celery import current_app
from kombu.exceptions import ChannelError, OperationalError

from uploads.sinks.crash_points import Step, reached

from ..models import Lane, Worker
from .leases import claimable

log = structlog.get_logger(__name__)
TASK = "media_jobs.work"
# Workers that were told and do nothing about it are told again: after a second, and then less and less often, so that
# messages do not pile up where nobody reads them. (They must not expire instead: machines' clocks differ.)
_SOON, _LATEST = 1.0, 10.0
# A broker that did not answer is left alone for so long: whoever submits must not wait for it each time.
_REST = 5.0
_resting_until = 0.0


def wake(lane: str) -> None:
    """Tell one idle worker of the lane. Busy ones look for the next job by themselves when they end theirs."""
    reached(Step.QUEUED)
    if Worker.live().filter(lane=lane, state=Worker.State.IDLE).exists():
        _send(lane, 1)


@dataclass(frozen=True, slots=True)
class _Told:
    idle: list[tuple[Any, Any]]  # each worker, and when it was last heard to become so
    pause: float
    until: float


_told: dict[str, _Told] = {}


def wake_idle() -> int:
    """As many messages to each lane as it has idle workers, and jobs for them."""
    return sum(_send(lane, number) for lane, _, number in _waiting())


def wake_idle_again() -> int:
    """Housekeeping's, each second: the same, but patient with those who were told already."""
    sent, waiting = 0, list(_waiting())
    for lane in _told.keys() - {lane for lane, _, _ in waiting}:
        del _told[lane]
    for lane, idle, number in waiting:
        if _is_due(lane, idle):
            sent += _send(lane, number)
    return sent


def _waiting() -> Iterator[tuple[str, list[tuple[Any, Any]], int]]:
    """Lanes with idle workers and jobs: which workers, and how many of them have something to do."""
    paused = Lane.objects.filter(paused=True).values("name")
    idle = Worker.live().filter(state=Worker.State.IDLE).exclude(lane__in=paused).order_by("pk")
    for lane in set(idle.values_list("lane", flat=True)):
        workers = list(idle.filter(lane=lane).values_list("pk", "heard_at"))
        if number := len(claimable(lane).values("pk")[: len(workers)]):
            yield lane, workers, number


def _is_due(lane: str, idle: list[tuple[Any, Any]]) -> bool:
    now, before = time.monotonic(), _told.get(lane)
    is_new = before is None or before.idle != idle
    if before is not None and not is_new and now < before.until:
        return False
    pause = _SOON if before is None or is_new else min(2 * before.pause, _LATEST)
    _told[lane] = _Told(idle, pause, now + pause)
    return True


def _send(lane: str, times: int) -> int:
    global _resting_until
    if time.monotonic() < _resting_until:
        return 0
    for sent in range(times):
        try:
            current_app.send_task(TASK, (lane,), queue=lane, retry=False, ignore_result=True)
        except (OperationalError, ChannelError, OSError):
            _resting_until = time.monotonic() + _REST
            log.warning("broker_unreachable", lane=lane, exc_info=True)
            return sent
    return times
