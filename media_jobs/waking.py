"""The message that a lane has work. It says no more: which job, the worker asks the database.

A message that is lost costs a second, until housekeeping sends another; one too many costs a worker one look.
"""

import time

import structlog
from celery import current_app
from kombu.exceptions import ChannelError, OperationalError

from uploads.steps import Step, reached

from .leases import claimable
from .models import Lane, Worker
from .results import live_workers

log = structlog.get_logger(__name__)
TASK = "media_jobs.work"
# A hint that nobody heard for so long has been given again.
_EXPIRES = 10.0
# A broker that did not answer is left alone for so long: whoever submits must not wait for it each time.
_REST = 5.0
_resting_until = 0.0


def wake(lane: str) -> None:
    """Tell one idle worker of the lane. Busy ones look for the next job by themselves when they end theirs."""
    reached(Step.QUEUED)
    if live_workers().filter(lane=lane, state=Worker.State.IDLE).exists():
        _send(lane, 1)


def wake_idle() -> int:
    """Housekeeping's: as many messages to each lane as it has idle workers, and jobs for them."""
    sent = 0
    paused = Lane.objects.filter(paused=True).values("name")
    idle = live_workers().filter(state=Worker.State.IDLE).exclude(lane__in=paused)
    for lane in set(idle.values_list("lane", flat=True)):
        workers = idle.filter(lane=lane).count()
        sent += _send(lane, len(claimable(lane).values("pk")[:workers]))
    return sent


def _send(lane: str, times: int) -> int:
    global _resting_until
    if time.monotonic() < _resting_until:
        return 0
    for sent in range(times):
        try:
            current_app.send_task(TASK, (lane,), queue=lane, expires=_EXPIRES, retry=False, ignore_result=True)
        except (OperationalError, ChannelError, OSError):
            _resting_until = time.monotonic() + _REST
            log.warning("broker_unreachable", lane=lane, exc_info=True)
            return sent
    return times
