"""What housekeeping does for batches: submit their jobs, cancel them, and retry them, some hundred in a transaction.

A crash at any point costs nothing: rows say what is still to be done, and change in the same transaction as the jobs.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from django.db import transaction

from uploads.errors import Refusal
from uploads.models import MediaFile, Transition
from uploads.runtime.database_connections import write
from uploads.storage.files import keep_from_deletion

from .. import permissions
from ..errors import Failure, NoSuchFile
from ..models import Batch, BatchItem, Job, Share
from . import model_endpoints, states
from .batches import order_of
from .cancel_and_retry import cancel, retry
from .job_texts import index_metadata
from .notify import wake
from .submission import Order, described, new_job, on_file, submit

Status = Job.Status
CHUNK = 100
_RETRIES_AT_A_TIME = 20
_SECONDS_AT_A_TIME = 0.5  # of the chore: others must not wait long


def carry_on() -> int:
    """Do the next part of the work for each pending batch, in turns. Called each second."""
    until, count = time.monotonic() + _SECONDS_AT_A_TIME, 0
    pending = list(Batch.objects.filter(is_pending=True).select_related("owner").order_by("created_at"))
    while pending and time.monotonic() < until:
        batch = pending.pop(0)
        done = _next_step(batch)
        count += done
        if done:
            pending.append(batch)
        else:
            _finish(batch)
    return count


def _next_step(batch: Batch) -> int:
    """Returns how many rows it changed. 0: there is nothing to do at the moment."""
    step: Callable[[Batch], int] = submit_some
    if batch.cancel_asked:
        step = _cancel_some
    elif batch.retry_asked is not None:
        step = _retry_some
    return step(batch)


def _finish(batch: Batch) -> None:
    """Nothing is left to do, unless somebody has asked for something meanwhile."""
    with write():
        now = Batch.objects.select_for_update(no_key=True).filter(pk=batch.pk).first()
        if now is None or (now.cancel_asked, now.retry_asked) != (batch.cancel_asked, batch.retry_asked):
            return
        if now.retry_asked is not None and not now.cancel_asked:
            now.retry_asked = None  # what was to be submitted goes on
        else:
            now.is_pending = False
        now.save(update_fields=["retry_asked", "is_pending"])


@states.in_retried_transaction
def submit_some(batch: Batch) -> int:
    """Submit the jobs of the next files. Files that do not fit get a note."""
    waiting = BatchItem.objects.filter(batch=batch, note="").order_by("number")
    files = [item.file for item in waiting.select_related("file__blob")[:CHUNK]]
    # The files first, as in all other places: their deletion locks them before it deletes these rows.
    here = keep_from_deletion(files) if files else set()
    items = list(waiting.filter(file__in=here).select_for_update(of=["self"]).select_related("file__blob"))
    try:
        order = order_of(batch, batch.owner)
        if not permissions.may_submit(batch.owner):
            raise Refusal("The account may not submit jobs any more.")
    except Refusal as refusal:
        _skip(items, [refusal.detail] * len(items))
        return len(files)
    notes = {item.file.pk: _why_not(order, item.file) for item in items}
    notes |= _insert(batch, order, [item.file for item in items if not notes[item.file.pk]])
    _skip(items, [notes[item.file.pk] for item in items])
    BatchItem.objects.filter(pk__in=[item.pk for item in items if not notes[item.file.pk]]).delete()
    return len(files)  # also if another process was faster with all of them: there may be more


def _skip(items: Sequence[BatchItem], notes: Sequence[str]) -> None:
    skipped = [item for item, note in zip(items, notes, strict=True) if note]
    for item, note in zip(items, notes, strict=True):
        item.note = note[:500]
    BatchItem.objects.bulk_update(skipped, ["note"])


def _why_not(order: Order, file: MediaFile) -> str:
    """Why the operation cannot run on the file; empty if it can."""
    operation = order.operation
    if file.blob.kind not in operation.kinds:
        kind = f"{file.blob.kind} files" if file.blob.kind else "files that are not media"
        return f"“{operation.name}” does not work on {kind}."
    found = described(file)
    try:
        operation.check(order.params, found.kind, found.facts)
        model_endpoints.require_fitting(order.endpoint, found.kind, found.facts)
        if not order.named_files:
            operation.check_files(order.params, [found])
    except Failure as failure:
        return failure.detail
    return ""


def _insert(batch: Batch, order: Order, files: Sequence[MediaFile]) -> dict[UUID, str]:
    """Insert the jobs: together those whose work nobody has done or does, one by one the others.

    Returns why some of those were refused, by their files: one that the parameters name may have been deleted.
    """
    jobs = [] if order.named_files else [_job(batch, order, file) for file in files]
    known = Job.objects.filter(
        cache_key__in=[job.cache_key for job in jobs], status__in=[Status.QUEUED, Status.RUNNING, Status.SUCCEEDED]
    )
    taken = set(known.values_list("cache_key", flat=True))
    new: dict[str, Job] = {}
    for job in jobs:
        if job.cache_key not in taken:
            new.setdefault(job.cache_key, job)
    Job.objects.bulk_create(new.values())
    index_metadata(*new.values())
    Transition.record_many("job", [job.pk for job in new.values()], Status.QUEUED)
    inserted = {job.file_id for job in new.values()}
    notes = {file.pk: _submit(batch, order, file) for file in files if file.pk not in inserted}
    if new:
        Share.ensure(order.lane, batch.owner_id)
        transaction.on_commit(lambda: wake(order.lane))
    return notes


def _submit(batch: Batch, order: Order, file: MediaFile) -> str:
    """Submit one job. Returns why it was refused; empty if it was not."""
    try:
        with write():
            made, _ = submit(on_file(order, file))
    except NoSuchFile:
        named = ", ".join(map(str, order.named_files))
        return f"A file that the parameters name was deleted, or the owner of the batch may not use it: {named}."
    except Refusal as refusal:
        return refusal.detail
    of_batch = {"batch": batch, "preset": batch.preset, "request_id": batch.request_id}
    Job.objects.filter(pk=made.pk).update(**of_batch)
    return ""


def _job(batch: Batch, order: Order, file: MediaFile) -> Job:
    job = new_job(replace(order, file=file))
    job.batch, job.preset, job.request_id = batch, batch.preset, batch.request_id
    return job


def _cancel_some(batch: Batch) -> int:
    """Cancel queued jobs: together those on which no other waits, one by one those with followers or children."""
    # Oldest first, as workers claim them: they soon find none.
    queued = Job.objects.filter(batch=batch, status=Status.QUEUED).order_by("queued_at", "id")
    with write():
        chunk = list(queued.select_for_update(of=["self"])[:CHUNK])
        others = states.mark_cancelled_together(chunk)
    for job in others:
        with suppress(Refusal):  # it has ended meanwhile
            cancel(job)
    # Workers may have claimed some since the request. In a transaction of its own: a job that ends locks followers.
    Job.objects.filter(batch=batch, status=Status.RUNNING, cancel_asked=False).update(cancel_asked=True)
    return len(chunk)


def _retry_some(batch: Batch) -> int:
    failed = Job.objects.filter(
        batch=batch, status=Status.FAILED, finished_at__lte=batch.retry_asked, file__isnull=False
    )
    chunk = list(failed.select_related("file").order_by("finished_at", "id")[:_RETRIES_AT_A_TIME])
    with write():
        # All files first, in the order of their Blobs: one by one, two transactions could wait for each other.
        keep_from_deletion([job.file for job in chunk if job.file is not None])
        return sum(map(_retry, chunk))


def _retry(job: Job) -> bool:
    try:
        retry(job)
    except Refusal:  # its file was deleted a moment ago, or somebody else has retried it
        return False
    return True
