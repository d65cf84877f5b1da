"""Move all content of one store to another, several Blobs at once, while the service runs.

It can be stopped and started again at any time: what has been moved is no longer in the first store's rows.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

import structlog
from django.db.models import Exists, OuterRef, QuerySet

from ..errors import StorageUnavailable
from ..models import Blob, SidecarChange
from ..runtime.database_connections import release_connection
from ..sinks.base import Sink
from ..storage.blob_move import LEFT, Outcome, Route, move_blob
from ..storage.marker import is_ours
from ..storage.sidecars import write_changed
from ..transfers.disk_space import check_unreserved

log = structlog.get_logger(__name__)
_BATCH = 500
_POLL = 0.5  # seconds


class Stopped(Exception):
    """The move of a Blob was broken off. It stays where it was."""


@dataclass
class Report:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    left: list[tuple[Blob, Outcome]] = field(default_factory=list)  # that could not be moved

    @property
    def done(self) -> int:
        return self.outcomes[Outcome.MOVED] + self.outcomes[Outcome.MERGED]


def movable(source: Sink) -> QuerySet[Blob]:
    return Blob.objects.filter(sink=source.name).exclude(state=Blob.State.STORING)


def with_equal_content(route: Route) -> QuerySet[Blob]:
    """Those that need no copy, because the other store has their content."""
    there = movable(route.target).filter(sha256=OuterRef("sha256"), size=OuterRef("size"))
    return movable(route.source).filter(Exists(there))


class RateLimit:
    """Limits the bytes per second of all threads together."""

    def __init__(self, rate: int) -> None:
        self._rate, self._free_at, self._lock = rate, time.monotonic(), threading.Lock()

    def wait(self, size: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self._rate
            pause = self._free_at - now
        time.sleep(pause)


class Move:
    """One run. `seen` is called with the bytes of each piece, `ended` with each Blob; both by several threads."""

    def __init__(
        self, route: Route, parallel: int, rate: int | None = None, seen: Callable[[int], object] = int,
        ended: Callable[[Blob, Outcome], object] = lambda *_: None,
    ) -> None:  # fmt: skip
        self.report = Report()
        self._route, self._parallel, self._seen, self._ended = route, parallel, seen, ended
        self._limit = RateLimit(rate) if rate else None
        self._stop, self._break_off = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Begin no other Blob. Called again: break off those that are being copied. May be a signal handler."""
        (self._break_off if self._stop.is_set() else self._stop).set()

    def run(self) -> Report:
        """Raises SinkError or a Refusal if a store fails. What was moved until then stays moved."""
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="move") as pool:
            # From a random place on: two processes that move the same store work on different Blobs.
            self._pass(pool, movable(self._route.source).filter(pk__gte=uuid.uuid4()))
            while not self._stop.is_set():
                before = self.report.done
                self._pass(pool, movable(self._route.source))
                if self.report.done == before:
                    break
        return self.report

    def _pass(self, pool: ThreadPoolExecutor, blobs: QuerySet[Blob]) -> None:
        """Move all of these, and wait for the last."""
        known = {blob.pk for blob, _ in self.report.left}
        waiting = (blob for blob in _by_id(blobs) if blob.pk not in known)
        running: set[Future[None]] = set()
        try:
            while True:
                free = 0 if self._stop.is_set() else self._parallel - len(running)
                running |= {pool.submit(self._move, blob) for blob in islice(waiting, free)}
                if not running:
                    return
                release_connection()
                done, running = wait(running, _POLL, FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            self._stop.set()  # the others end, and the first error is reported
            raise

    def _move(self, blob: Blob) -> None:
        try:
            check_unreserved(self._route.target, blob.size)
            outcome = move_blob(blob, self._route, self._count)
            if outcome in LEFT and not is_ours(self._route.source):
                raise StorageUnavailable(f"The store “{self._route.source.name}” cannot be read any more.")
        except Stopped:
            return
        finally:
            release_connection()
        with self._lock:
            self.report.outcomes[outcome] += 1
            if outcome in LEFT:
                self.report.left.append((blob, outcome))
        self._ended(blob, outcome)

    def _count(self, size: int) -> None:
        if self._break_off.is_set():
            raise Stopped
        if self._limit is not None:
            self._limit.wait(size)
        self._seen(size)


def _by_id(blobs: QuerySet[Blob]) -> Iterator[Blob]:
    """In batches, each with its own query: a move may take days."""
    last = uuid.UUID(int=0)
    while batch := list(blobs.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        last = batch[-1].pk
        yield from batch


def write_sidecars(route: Route) -> None:
    """Write the sidecars of all files that were moved; housekeeping may be behind. First those of the new places."""
    for place in (route.target, route.source):
        changes = SidecarChange.objects.filter(sink=place.name)
        last = changes.order_by("-pk").values_list("pk", flat=True).first() or 0
        while changes.filter(pk__lte=last).exists():
            write_changed(place)
