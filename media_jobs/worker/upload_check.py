"""A slot checks the content of a direct upload. The slot's heartbeat renews the lease meanwhile."""

import time

import structlog
from django.db import close_old_connections

from ..models import Worker
from ..queue import scheduling, upload_checks
from ..queue.notify import wake
from .slot import Slot

log = structlog.get_logger(__name__)


def check_next_upload(slot: Slot) -> bool:
    """Check the next upload that was sent whole. False: there is none."""
    check = upload_checks.claim(slot.worker)
    if check is None:
        return False
    slot.set_state(Worker.State.BUSY)
    if upload_checks.has_work(slot.lane):
        wake(slot.lane)
    slot.hold(check.renew)
    started = time.monotonic()
    try:
        with scheduling.charged(slot.lane, check.upload.owner_id):
            check.run(lambda: slot.is_stopping)
    except Exception:
        # The lease runs out, and a worker tries again, as after the loss of a worker.
        log.exception("check_failed", upload=str(check.upload.pk))
        close_old_connections()
    finally:
        slot.hold(None)
        seconds = round(time.monotonic() - started, 3)
        log.info("upload_check_run", upload=str(check.upload.pk), size=check.upload.declared_size, seconds=seconds)
    return True
