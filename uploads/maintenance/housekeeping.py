"""The periodic chores of this app. Each may run at any time, twice at once, or be killed half way."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from ..conf import limits
from ..models import SidecarChange, Token, Transition, Upload
from ..monitoring import chore_records
from ..monitoring.counters import add_up
from ..runtime.ballast_file import ballast
from ..runtime.database_connections import release_connection
from ..sinks.base import Sink, SinkError
from ..sinks.patience import patience_of
from ..storage.marker import is_ours
from ..storage.sidecars import write_changed
from ..storage.stores import sink, sinks
from ..storage.tombstones import remove_buried
from ..text_index import fill, mend
from ..transfers import disk_space
from ..transfers.completion import fail_stalled
from ..transfers.direct.cleanup import close_ended, pause_silent
from ..transfers.idempotency import KEY_KEPT
from ..transfers.resumable.recovery import expire_uploads, recover_stalled
from .sweep import sweep

log = structlog.get_logger(__name__)
FAILURES_KEPT = timedelta(days=7)
_SHORT_PATIENCE = 2.0  # seconds, of chores that run again at once


@dataclass(frozen=True, slots=True)
class Chore:
    name: str
    every: timedelta
    do: Callable[[], int]  # returns how many items were processed
    # It deletes by age: runs only while the clock can be trusted (uploads.maintenance.steady_clock).
    by_clock: bool = False
    # Each host runs it, as it looks after the host's own disk. The others are run by one process of the installation.
    per_host: bool = False
    # It takes as long as a store takes to answer, or to be reached again. Others do not wait for it.
    uses_store: bool = False


def in_each_store(do: Callable[[Sink], int]) -> int:
    """Do it in every store. One that fails does not keep it from the others, and then fails the chore."""
    done, failed = 0, None
    for place in sinks():
        try:
            done += do(place)
        except SinkError as error:
            log.warning("store_failed", store=place.name, exc_info=True)
            failed = error
    if failed is not None:
        raise failed
    return done


def sweep_stores() -> int:
    return in_each_store(sweep)


def remove_bytes() -> int:
    """Finish deletions whose process ended before it removed the bytes."""
    return in_each_store(lambda place: remove_buried(place) if is_ours(place) else 0)


def abort_abandoned() -> int:
    """Delete the unfinished writes of processes that died."""
    return in_each_store(lambda place: place.abort_abandoned() if is_ours(place) else 0)


def write_sidecars() -> int:
    """Write the sidecars of changed files. Returns 0, as this is too frequent for the log."""
    with patience_of(_SHORT_PATIENCE):
        in_each_store(_write_sidecars)
    return 0


def _write_sidecars(place: Sink) -> int:
    # The marker of a store in the network is not read each second without a reason.
    is_needed = SidecarChange.objects.filter(sink=place.name).exists()
    return write_changed(place) if is_needed and is_ours(place) else 0


def purge_quarantine() -> int:
    """Delete what has been in quarantine for longer than the setting."""
    return in_each_store(_purge_quarantine)


def _purge_quarantine(place: Sink) -> int:
    until = timezone.now() - timedelta(seconds=limits().quarantine_kept)
    if not is_ours(place):
        return 0
    old = [found for found in place.quarantine.entries() if found.since < until]
    for found in old:
        place.quarantine.purge(found)
        log.warning("quarantine_purged", key=found.key, size=found.size, since=found.since.isoformat())
    return len(old)


def free_keys() -> int:
    """Forget Idempotency-Keys after a day; those of ingested files stay as long as their upload."""
    old = Upload.objects.filter(state=Upload.State.COMPLETE, finished_at__lt=Now() - KEY_KEPT)
    freed: int = old.exclude(idempotency_key="").exclude(protocol=Upload.Protocol.INGEST).update(idempotency_key="")
    return freed


def forget_failures() -> int:
    """Delete failed uploads after a week."""
    old = list(
        Upload.objects.filter(state=Upload.State.FAILED, finished_at__lt=Now() - FAILURES_KEPT).values_list(
            "pk", flat=True
        )[:1000]
    )
    Transition.objects.filter(subject="upload", subject_id__in=old).delete()
    forgotten: int = Upload.objects.filter(pk__in=old).delete()[0]
    return forgotten


def forget_tokens() -> int:
    """Delete expired tokens."""
    forgotten: int = Token.objects.filter(expiry__lt=timezone.now()).delete()[0]
    return forgotten


def analyze_tables() -> int:
    """Update the statistics that SQLite needs to choose good indexes. PostgreSQL does this by itself."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(
                "PRAGMA analysis_limit = 1000"
            )  # rows of each index: milliseconds, however long a table is
            cursor.execute("ANALYZE")
    return 0


def keep_ballast() -> int:
    """Release the ballast file when the disk is nearly full; write it again when there is space."""
    return ballast().keep(lambda: disk_space.free_for_uploads(sink()))


CHORES = [
    Chore("keep the ballast", timedelta(seconds=1), keep_ballast, per_host=True),
    Chore("end stalled uploads", timedelta(seconds=10), fail_stalled),
    Chore("recover resumable uploads", timedelta(seconds=10), recover_stalled, uses_store=True),
    Chore("pause silent direct uploads", timedelta(seconds=10), pause_silent),
    Chore("close direct uploads", timedelta(minutes=1), close_ended, uses_store=True),
    Chore("release idle reservations", timedelta(seconds=10), disk_space.release_idle),
    Chore("end expired uploads", timedelta(minutes=1), expire_uploads, by_clock=True, uses_store=True),
    Chore("write sidecars", timedelta(seconds=1), write_sidecars, uses_store=True),
    Chore("remove bytes of deleted files", timedelta(minutes=1), remove_bytes, uses_store=True),
    Chore("abort abandoned writes", timedelta(minutes=1), abort_abandoned, by_clock=True, uses_store=True),
    Chore("sweep", timedelta(hours=1), sweep_stores, by_clock=True, uses_store=True),
    Chore("purge the quarantine", timedelta(hours=1), purge_quarantine, by_clock=True, uses_store=True),
    Chore("free idempotency keys", timedelta(minutes=10), free_keys, by_clock=True),
    Chore("forget failed uploads", timedelta(hours=1), forget_failures, by_clock=True),
    Chore("forget expired tokens", timedelta(hours=1), forget_tokens, by_clock=True),
    Chore("analyze tables", timedelta(hours=1), analyze_tables),
    Chore("index files for search", timedelta(seconds=5), fill),
    Chore("check the index of the search", timedelta(hours=24), mend),
    Chore("add up counters", timedelta(seconds=30), add_up),
]


def run(chore: Chore) -> int:
    """Run one chore. A failure is logged and recorded; the chore runs again at its next turn."""
    host = socket.gethostname() if chore.per_host else ""
    try:
        release_connection()
        done = chore.do()
    except Exception:
        log.exception("chore_failed", chore=chore.name)
        chore_records.record_run(chore.name, host, failed=True)
        return 0
    chore_records.record_run(chore.name, host, failed=False)
    if done:
        log.info("chore_done", chore=chore.name, count=done)
    return done
