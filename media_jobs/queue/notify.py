"""The broker message that a lane has work. The worker that receives it asks the database for a job.

A lost message costs a second, until housekeeping sends another; a needless message costs one query.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import ChannelError, OperationalError

from uploads.models import Upload
from uploads.sinks.crash_points import Step, reached

from ..models import Lane, Worker
from ..operations.base import BULK
from . import upload_checks
from .scheduling import claimable, rooms

log = structlog.get_logger(__name__)
TASK = "media_jobs.work"
# Housekeeping repeats a message to workers that stay idle after this many seconds, and then less and less often, so
# that unread messages do not pile up. (Messages must not expire instead: machines' clocks differ.)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0
# After an error of the broker, send nothing for so long: submitting must not wait for the broker each time.
_BROKER_PAUSE = 5.0
_paused_until = 0.0


def wake(lane: str) -> None:
    """Send a message to one idle worker of the lane. Busy workers claim the next job themselves when they finish."""
    reached(Step.QUEUED)
    if Worker.live().filter(lane=lane, state=Worker.State.IDLE).exists():
        _send(lane, 1)


def wake_all(lane: str) -> None:
    """Send a message to each idle worker of the lane.

    For one of them that knows of work: a message alone could go to another, again and again, that has no room for the
    inputs. Redis gives it to the worker that has waited longest.
    """
    _send(lane, Worker.live().filter(lane=lane, state=Worker.State.IDLE).count())


def wake_for_upload(upload: Upload) -> None:
    """hooks.upload_sent: wake a worker that checks the content of the upload."""
    transaction.on_commit(lambda: wake(BULK))


@dataclass(frozen=True, slots=True)
class _Sent:
    idle: list[tuple[Any, Any]]  # the id of each idle worker, and its heard_at
    pause: float
    until: float


_sent: dict[str, _Sent] = {}


def wake_idle() -> int:
    """Send each lane as many messages as it has idle workers and jobs for them."""
    return sum(_send(lane, number) for lane, _, number in _lanes_to_wake())


def wake_idle_again() -> int:
    """The same, with a pause before messages are repeated to the same workers. Housekeeping calls it each second."""
    count, lanes = 0, list(_lanes_to_wake())
    for lane in _sent.keys() - {lane for lane, _, _ in lanes}:
        del _sent[lane]
    for lane, idle, number in lanes:
        if _is_due(lane, idle):
            count += _send(lane, number)
    return count


def _lanes_to_wake() -> Iterator[tuple[str, list[tuple[Any, Any]], int]]:
    """Lanes with idle workers and work for them, their idle workers, and how many of them have something to do."""
    paused = Lane.objects.filter(paused=True).values("name")
    idle = Worker.live().filter(state=Worker.State.IDLE).exclude(lane__in=paused).order_by("pk")
    for lane, room in rooms(idle).items():
        workers = list(idle.filter(lane=lane).values_list("pk", "heard_at"))
        most = len(workers)
        number = len(claimable(lane, room).values("pk")[:most]) + len(upload_checks.waiting(lane).values("pk")[:most])
        if number := min(number, most):
            yield lane, workers, number


def _is_due(lane: str, idle: list[tuple[Any, Any]]) -> bool:
    now, before = time.monotonic(), _sent.get(lane)
    is_new = before is None or before.idle != idle
    if before is not None and not is_new and now < before.until:
        return False
    pause = _FIRST_PAUSE if before is None or is_new else min(2 * before.pause, _LONGEST_PAUSE)
    _sent[lane] = _Sent(idle, pause, now + pause)
    return True


def _send(lane: str, times: int) -> int:
    global _paused_until
    if time.monotonic() < _paused_until:
        return 0
    for sent in range(times):
        try:
            current_app.send_task(TASK, (lane,), queue=lane, retry=False, ignore_result=True)
        except (OperationalError, ChannelError, OSError):
            _paused_until = time.monotonic() + _BROKER_PAUSE
            log.warning("broker_unreachable", lane=lane, exc_info=True)
            return sent
    return times
