"""Celery's part: a message wakes a worker of a lane, which then claims jobs from the database until there is none."""

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
from .queue import leases, lost_leases, scheduling
from .queue.leases import Lease
from .queue.notify import TASK, wake
from .queue.upload_checks import has_work
from .worker.attempt import run_job
from .worker.inputs import free_disk, room
from .worker.slot import BEAT, Slot, equipment
from .worker.upload_check import check_next_upload

log = structlog.get_logger(__name__)
_RETRY_AFTER = 1.0
_slot: Slot | None = None


@shared_task(name=TASK, ignore_result=True)
def work(lane: str) -> None:
    assert _slot is not None  # only a worker that was started as a slot of a lane consumes its queue
    _slot.note_message()
    try:
        run_jobs(_slot)
    finally:
        _slot.set_state(Worker.State.IDLE)


def run_jobs(slot: Slot) -> None:
    """Do what waits in the slot's lane, one after another, until there is nothing or the slot is to stop."""
    while not slot.is_stopping and (check_next_upload(slot) or _run_next_job(slot)):
        pass


def _run_next_job(slot: Slot) -> bool:
    lease = _claim_next(slot)
    if lease is None:
        return False
    slot.set_state(Worker.State.BUSY)
    if has_work(slot.lane, room()):
        wake(slot.lane)
    with scheduling.charged(slot.lane, lease.job.owner_id):
        run_job(lease, slot)
    return True


def _claim_next(slot: Slot) -> Lease | None:
    if not _may_claim(slot):
        return None
    lease = leases.claim(slot.worker, room())
    if lease is not None or slot.worker.state == Worker.State.IDLE:
        return lease
    # A job that was submitted a moment ago has woken nobody if its lane's workers were all busy. Look once more, now
    # that this worker's row says that it is idle.
    slot.set_state(Worker.State.IDLE)
    return leases.claim(slot.worker, room())


def _may_claim(slot: Slot) -> bool:
    """Whether a job could run now. Lost jobs are taken back here, too, as housekeeping may not be running.

    Once a second is enough, as both take longer than a claim.
    """
    if time.monotonic() - slot.ready_at < BEAT:
        return True
    lost_leases.reap(lambda: time.sleep(2 * BEAT))
    free_disk()
    if lacking := scheduling.lacking():
        log.warning("no_job_begun", waits_for=lacking)
        return False
    slot.ready_at = time.monotonic()
    return True


@celeryd_after_setup.connect
def _start(instance: Any, **_: Any) -> None:
    """End the process after any error: Celery would log it and go on to consume messages, but run no jobs."""
    global _slot
    [lane] = instance.app.amqp.queues.consume_from
    try:
        sweep(jobs().work_root)
        free_disk()
        while (_slot := _slot_of(lane)) is None:
            time.sleep(_RETRY_AFTER)
    except Exception:
        end_process("worker_not_started", lane=lane)


def _slot_of(lane: str) -> Slot | None:
    """None: the database is away. The worker waits for it as long as it takes, as it does for the broker."""
    found = equipment()
    try:
        return Slot(lane, found.binary.build, found.sandbox.as_json())
    except DatabaseFailure:
        log.warning("worker_waits_for_database", lane=lane, exc_info=True)
        close_old_connections()
        return None


@worker_ready.connect
def _wake_lane(**_: Any) -> None:
    """Jobs may have been submitted before there was a worker."""
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
