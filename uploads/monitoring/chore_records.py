"""Record the results of housekeeping chores in the database, for the metrics and warnings of the web server."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error as DatabaseFailure
from django.db.models import Count, F, Max, Q, Sum
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
_CODE_LENGTH = 96  # of a warning's code, as the table of alerts keeps it


@dataclass(slots=True)
class _Unwritten:
    done: int = 0
    failed: int = 0
    is_failing: bool | None = None  # as it was last written
    written: float = float("-inf")


_unwritten: dict[str, _Unwritten] = {}
_lock = threading.Lock()


def record_run(chore: str, host: str = "", *, failed: bool) -> None:
    """Record a run of a chore. If the database cannot be written, it is recorded with the next run.

    `host`: this host, if each host runs the chore.
    """
    name = f"{chore} on {host}" if host else chore
    with _lock:
        item = _unwritten.setdefault(name, _Unwritten())
        item.failed += failed
        item.done += not failed
        if item.is_failing is failed and time.monotonic() - item.written < _EVERY:
            return
        try:
            _write(name, {"chore": chore, "host": host}, item, failed)
        except DatabaseFailure:
            log.warning("chore_not_recorded", chore=name, exc_info=True)
            return
        _unwritten[name] = _Unwritten(is_failing=failed, written=time.monotonic())


def _write(name: str, described: dict[str, str], item: _Unwritten, failed: bool) -> None:
    ended: dict[str, Any] = {"failing_since": Coalesce("failing_since", Now())} if failed else {"failing_since": None}
    if item.done:
        ended["succeeded_at"] = Now()
    with write():
        ChoreRecord.objects.get_or_create(name=name, defaults={"written_at": Now(), **described})
        ChoreRecord.objects.filter(name=name).update(
            done=F("done") + item.done, failed=F("failed") + item.failed, written_at=Now(), **ended
        )


def warnings() -> Iterator[ServiceWarning]:
    """Warn of chores that fail, and of housekeeping that does not run: anywhere, or on this host."""
    now, host = timezone.now(), socket.gethostname()
    newest = _newest(host="")
    if newest is not None and now - newest > _SILENT:
        yield ServiceWarning(
            "housekeeping_silent",
            f"Housekeeping has not run since {newest:%Y-%m-%d %H:%M} UTC. "
            "Nothing is cleaned up, and no alerts are e-mailed.",
        )
    elif (here := _newest(host=host)) is not None and _SILENT < now - here < _FORGOTTEN:
        yield ServiceWarning(
            f"housekeeping_silent:{host}"[:_CODE_LENGTH],
            f"Housekeeping has not run on the host {host} since {here:%Y-%m-%d %H:%M} UTC.",
        )
    failing = ChoreRecord.objects.filter(failing_since__lt=now - _PATIENCE, written_at__gt=now - _FORGOTTEN)
    for chore in failing.order_by("name"):
        where = f" on the host {chore.host}" if chore.host else ""
        yield ServiceWarning(
            f"chore_fails:{chore.name}"[:_CODE_LENGTH],
            f"The chore “{chore.chore}” has failed{where} since {chore.failing_since:%Y-%m-%d %H:%M} UTC. "
            "See the log of housekeeping for the reason (chore_failed).",
        )


def live_hosts(*, but_this: bool = False) -> list[str]:
    """The hosts whose housekeeping has run lately; without this one if asked."""
    lately = ChoreRecord.objects.exclude(host="").filter(written_at__gt=timezone.now() - _SILENT)
    found = set(lately.values_list("host", flat=True))
    return sorted(found - {socket.gethostname()} if but_this else found)


def _newest(**of: str) -> datetime | None:
    newest: datetime | None = ChoreRecord.objects.filter(**of).aggregate(newest=Max("written_at"))["newest"]
    return newest


@dataclass(frozen=True, slots=True)
class ChoreTotals:
    """The runs of a chore so far; of all hosts, if each of them runs it."""

    done: int
    failed: int
    is_failing: bool
    succeeded_at: datetime | None


def totals() -> dict[str, ChoreTotals]:
    """By chore. Whether a host's chore fails is forgotten a day after its last run."""
    is_failing = Count("name", filter=Q(failing_since__isnull=False, written_at__gt=timezone.now() - _FORGOTTEN))
    rows = ChoreRecord.objects.values("chore").order_by("chore")
    found = rows.annotate(Sum("done"), Sum("failed"), Max("succeeded_at"), is_failing=is_failing)
    return {
        row["chore"]: ChoreTotals(
            row["done__sum"], row["failed__sum"], bool(row["is_failing"]), row["succeeded_at__max"]
        )
        for row in found
    }
