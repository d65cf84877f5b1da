"""Batches: one operation on many files. Create one, count how far it is, cancel it, retry what failed.

The request only writes down which files it is about. Housekeeping does the rest (batch_chores.py).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models import Count, F, QuerySet, Sum, Window
from django.db.models.functions import Now, RowNumber

from uploads import audit_log
from uploads.errors import InvalidParams
from uploads.models import MediaFile
from uploads.runtime.database_connections import write
from uploads.runtime.request_context import current_request_id

from .. import operations
from ..errors import AlreadyFinished, NotFinished
from ..models import Batch, BatchItem, Job
from .replays import replayed
from .submission import Order

MOST = 100_000  # files in a batch
MOST_REASONS = 20
CANCELLED_NOTE = "The batch was cancelled before a job for this file was submitted."
Status = Job.Status

_INSERT_ITEMS = """
    INSERT INTO media_jobs_batchitem (batch_id, file_id, number, note)
    SELECT %s, chosen.id, chosen.number, '' FROM ({chosen}) chosen
"""


def create(order: Order, files: QuerySet[MediaFile], asked: Any = None) -> tuple[Batch, bool]:
    """Create a batch on all of these files. `order` is without a file. Returns it, and whether it is new.

    `asked` is what the request said of the files: it identifies a repeated one.
    """
    fingerprint = _fingerprint(order, asked)
    with write():
        if order.key and (before := replayed(Batch, order.owner, order.key, fingerprint)):
            return before, False
        batch = Batch.objects.create(
            owner=order.owner, operation=order.operation.name, params=order.sent_params,
            preset=order.preset.name if order.preset else "", priority=order.priority, metadata=order.metadata,
            idempotency_key=order.key, fingerprint=fingerprint, request_id=current_request_id(),
        )  # fmt: skip
        batch.total = _insert_items(batch, files)
        if not batch.total:
            raise InvalidParams("No file matches.")
        if batch.total > MOST:
            raise InvalidParams(f"More than {MOST:,} files match. Choose fewer.")
        batch.save(update_fields=["total"])
        audit_log.note(batch, "Submitted.", audit_log.ADDITION)
    return batch, True


def _fingerprint(order: Order, asked: Any) -> str:
    parts = [order.fingerprint(), asked]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _insert_items(batch: Batch, files: QuerySet[MediaFile]) -> int:
    """Insert a row for each file, oldest first, with one statement: ten thousand take a tenth of a second."""
    place = Window(RowNumber(), order_by=[F("created_at").asc(), F("id").asc()])
    chosen = files.select_related(None).order_by().annotate(number=place).values("id", "number")[: MOST + 1]
    sql, parameters = chosen.query.sql_with_params()
    batch_id = models.UUIDField().get_db_prep_value(batch.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_ITEMS.format(chosen=sql), [batch_id, *parameters])
        return int(cursor.rowcount)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why files were skipped, and how many."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a batch is. `deleted` are files, or jobs, that are not there any more."""

    total: int
    waiting: int  # to be submitted
    skipped: int
    deleted: int
    jobs: dict[str, int]
    progress: float
    reasons: Sequence[Reason] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return not self.waiting and not any(self.jobs[status] for status in Job.UNFINISHED)


def counts(batches: Sequence[Batch]) -> dict[Any, Counts]:
    """The counts of several batches, with three queries."""
    found = {batch.pk: _Sums() for batch in batches}
    of_jobs = Job.objects.filter(batch__in=found).order_by().values("batch", "status")
    done = Sum(F("input_bytes") * F("progress"), output_field=models.FloatField())
    for row in of_jobs.annotate(count=Count("pk"), bytes=Sum("input_bytes"), bytes_done=done):
        found[row["batch"]].add_jobs(row["status"], row["count"], row["bytes"] or 0, row["bytes_done"] or 0.0)
    of_items = BatchItem.objects.filter(batch__in=found).order_by()
    for pk, count, weight in of_items.filter(note="").values_list("batch").annotate(Count("pk"), Sum("file__size")):
        found[pk].add_waiting(count, weight or 0)
    for pk, note, count in of_items.exclude(note="").values_list("batch", "note").annotate(Count("pk")):
        found[pk].reasons.append(Reason(note, count))
    return {batch.pk: found[batch.pk].counts(batch.total) for batch in batches}


class _Sums:
    """Adds up the rows of one batch. A job weighs as much as its input has bytes; one that has ended is done."""

    def __init__(self) -> None:
        self.jobs = dict.fromkeys(map(str, Status), 0)
        self.waiting = 0
        self.weight = self.done = 0.0
        self.reasons: list[Reason] = []

    def add_jobs(self, status: str, count: int, weight: float, done: float) -> None:
        self.jobs[status] += count
        self.weight += weight
        self.done += done if status in Job.UNFINISHED else weight

    def add_waiting(self, count: int, weight: float) -> None:
        self.waiting += count
        self.weight += weight

    def counts(self, total: int) -> Counts:
        skipped = sum(reason.count for reason in self.reasons)
        return Counts(
            total=total, waiting=self.waiting, skipped=skipped, jobs=self.jobs,
            deleted=max(0, total - self.waiting - skipped - sum(self.jobs.values())),
            progress=self.done / self.weight if self.weight else 1.0,
            reasons=sorted(self.reasons, key=lambda each: -each.count)[:MOST_REASONS],
        )  # fmt: skip


def counts_of(batch: Batch) -> Counts:
    return counts([batch])[batch.pk]


def cancel(batch: Batch) -> None:
    """Submit nothing more, stop what runs within two seconds, and let housekeeping cancel what is queued."""
    with write():
        batch = _locked(batch)
        if counts_of(batch).is_finished:
            raise AlreadyFinished("This batch has already ended.")
        Batch.objects.filter(pk=batch.pk).update(cancel_asked=True, retry_asked=None, is_pending=True)
        BatchItem.objects.filter(batch=batch, note="").update(note=CANCELLED_NOTE)
        Job.objects.filter(batch=batch, status=Status.RUNNING).update(cancel_asked=True)
        audit_log.note(batch, "Cancelled.")


def retry(batch: Batch) -> None:
    """Let housekeeping run the failed jobs again. Cancelled ones stay as they are."""
    with write():
        batch = _locked(batch)
        if batch.cancel_asked and batch.is_pending:
            raise NotFinished("This batch is being cancelled. Try again in a few seconds.")
        if not Job.objects.filter(batch=batch, status=Status.FAILED, file__isnull=False).exists():
            raise AlreadyFinished("No job of this batch has failed, or the files of those that did were deleted.")
        Batch.objects.filter(pk=batch.pk).update(cancel_asked=False, retry_asked=Now(), is_pending=True)
        audit_log.note(batch, "Retried the failed jobs.")


def _locked(batch: Batch) -> Batch:
    # Without the key: a transaction that inserts a job of the batch needs it, and may hold rows that are needed here.
    return Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)


def order_of(batch: Batch, owner: User) -> Order:
    """The order of each of its jobs, without the file. A Refusal: the operation does not accept it any more."""
    if batch.operation not in operations.registry:
        raise InvalidParams(f"This server has no operation “{batch.operation}” any more.")
    return Order.parse(owner, batch.operation, batch.params, priority=batch.priority, metadata=batch.metadata)
