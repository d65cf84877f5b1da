"""Record the results of housekeeping chores in the database, for the metrics and warnings of the web server."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import Error as DatabaseFailure
from django.db.models import F, Max
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from ..hooks import ServiceWarning
from ..models.service import ChoreRecord
from ..runtime.database_connections import write

log = structlog.get_logger(__name__)
# The results of frequent chores are written at this interval (seconds), and when a chore starts to fail or recovers.
_EVERY = 60.0
# Warn only after this time: a single failure, for example a busy database, is not worth a warning.
_PATIENCE = timedelta(minutes=1)
_SILENT = timedelta(minutes=10)
# A chore that has not run for this long no longer exists: a release has renamed it.
_FORGOTTEN = timedelta(days=1)


@dataclass(slots=True)
class _Unwritten:
    done: int = 0
    failed: int = 0
    is_failing: bool | None = None  # as it was last written
    written: float = float("-inf")


_unwritten: dict[str, _Unwritten] = {}
_lock = threading.Lock()


def record_run(chore: str, *, failed: bool) -> None:
    """Record a run of a chore. If the database cannot be written, it is recorded with the next run."""
    with _lock:
        item = _unwritten.setdefault(chore, _Unwritten())
        item.failed += failed
        item.done += not failed
        if item.is_failing is failed and time.monotonic() - item.written < _EVERY:
            return
        try:
            _write(chore, item, failed)
        except DatabaseFailure:
            log.warning("chore_not_recorded", chore=chore, exc_info=True)
            return
        _unwritten[chore] = _Unwritten(is_failing=failed, written=time.monotonic())


def _write(chore: str, item: _Unwritten, failed: bool) -> None:
    ended: dict[str, Any] = {"failing_since": Coalesce("failing_since", Now())} if failed else {"failing_since": None}
    if item.done:
        ended["succeeded_at"] = Now()
    with write():
        ChoreRecord.objects.get_or_create(name=chore, defaults={"written_at": Now()})
        ChoreRecord.objects.filter(name=chore).update(
            done=F("done") + item.done, failed=F("failed") + item.failed, written_at=Now(), **ended
        )


def warnings() -> Iterator[ServiceWarning]:
    """Warn of chores that fail, and of a housekeeping process that does not run."""
    now = timezone.now()
    newest = ChoreRecord.objects.aggregate(newest=Max("written_at"))["newest"]
    if newest is not None and now - newest > _SILENT:
        yield ServiceWarning(
            "housekeeping_silent",
            f"Housekeeping has not run since {newest:%Y-%m-%d %H:%M} UTC. "
            "Nothing is cleaned up, and no alerts are e-mailed.",
        )
    failing = ChoreRecord.objects.filter(failing_since__lt=now - _PATIENCE, written_at__gt=now - _FORGOTTEN)
    for chore in failing.order_by("name"):
        yield ServiceWarning(
            f"chore_fails:{chore.name}",
            f"The chore “{chore.name}” has failed since {chore.failing_since:%Y-%m-%d %H:%M} UTC. "
            "See the log of housekeeping for the reason (chore_failed).",
        )
