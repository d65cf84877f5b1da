"""What Celery is for: a message wakes a worker of a lane, which then asks the database for its job."""

from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup, worker_ready, worker_shutdown, worker_shutting_down

from . import running
from .conf import jobs
from .equipment import equipment
from .ffmpeg.workfolder import sweep
from .models import Worker
from .slots import Slot
from .waking import TASK, wake

_slot: Slot | None = None


@shared_task(name=TASK, ignore_result=True)
def work(lane: str) -> None:
    assert _slot is not None  # only a worker that was started as a slot of a lane consumes its queue
    _slot.hear()
    try:
        running.work(_slot)
    finally:
        _slot.become(Worker.State.IDLE)


@celeryd_after_setup.connect
def _begin(instance: Any, **_: Any) -> None:
    global _slot
    [lane] = instance.app.amqp.queues.consume_from
    found = equipment()
    sweep(jobs().work_root)
    _slot = Slot(lane, found.binary.build, found.sandbox.as_json())


@worker_ready.connect
def _look_for_work(**_: Any) -> None:
    """There may have been jobs before there was a worker."""
    assert _slot is not None
    wake(_slot.lane)


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    if _slot is not None:
        _slot.stop()


@worker_shutdown.connect
def _leave(**_: Any) -> None:
    if _slot is not None:
        _slot.leave()
