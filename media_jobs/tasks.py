"""What Celery is for: a message wakes a worker of a lane, which then asks the database for its job."""

import time
from typing import Any

import structlog
from celery import shared_task
from celery.signals import celeryd_after_setup, worker_ready, worker_shutdown, worker_shutting_down
from django.db import Error as DatabaseFailure
from django.db import close_old_connections

from uploads.runtime.essential_threads import end_process

from .conf import jobs
from .ffmpeg.work_folder import sweep
from .models import Worker
from .queue.notify import TASK, wake
from .worker import attempt
from .worker.slot import Slot, equipment

log = structlog.get_logger(__name__)
_AGAIN = 1.0
_slot: Slot | None = None


@shared_task(name=TASK, ignore_result=True)
def work(lane: str) -> None:
    assert _slot is not None  # only a worker that was started as a slot of a lane consumes its queue
    _slot.hear()
    try:
        attempt.work(_slot)
    finally:
        _slot.become(Worker.State.IDLE)


@celeryd_after_setup.connect
def _begin(instance: Any, **_: Any) -> None:
    """Celery logs what this raises and goes on. Its worker would consume messages, and run none of the jobs."""
    global _slot
    [lane] = instance.app.amqp.queues.consume_from
    try:
        sweep(jobs().work_root)
        while (_slot := _slot_of(lane)) is None:
            time.sleep(_AGAIN)
    except Exception:
        end_process("worker_not_started", lane=lane)


def _slot_of(lane: str) -> Slot | None:
    """None: the database is away. It is waited for, however long, as the broker is."""
    found = equipment()
    try:
        return Slot(lane, found.binary.build, found.sandbox.as_json())
    except DatabaseFailure:
        log.warning("worker_waits_for_database", lane=lane, exc_info=True)
        close_old_connections()
        return None


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
