"""How an attempt ends: with success, failure, cancelled, given back, or split into parts that children make.

Each outcome is one transaction, fenced by the lease's token. Raises LeaseLost if the attempt was ended by others.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from uploads.runtime.database_connections import write
from uploads.storage.blobs import discard
from uploads.storage.stores import sink
from uploads.storage.tombstones import bury
from uploads.text.sizes import human_size
from uploads.transfers.quota import lock_quotas

from ..errors import Cancelled, EndpointBusy, Failure
from ..models import Job
from ..operations.divisible import Part
from . import artifacts, children, kept_parts, states
from .cancel_and_retry import pause_before_retry
from .leases import Lease, held_by, require
from .single_flight import followers, promote

Status = Job.Status
# A claim checks the space, so only another slot of the host can have taken it since.
_DEFERRAL = timedelta(seconds=10)


def finish(
    lease: Lease, stored: Sequence[artifacts.StoredOutput], *, facts: dict[str, Any] | None, message: str,
    ran: dict[str, str], measured: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """End the job with success, in one transaction: its status, the files it made, and the jobs that followed it.

    Raises QuotaReached if the owner has no space for the files, and the job is useless without them. Raises Cancelled
    if the owner has asked to cancel the job.
    """
    discard(*_finish(lease, stored, facts, {"message": message, "measured": measured, **ran}))


@states.in_retried_transaction
def _finish(
    lease: Lease, stored: Sequence[artifacts.StoredOutput], facts: dict[str, Any] | None, about: dict[str, Any]
) -> list[str]:
    """Returns the keys of bytes that are not needed."""
    job = lease.job
    # Locked in this order, as submitting does: the Blob of the input, the owner's quota, the job's row.
    artifacts.save_facts(job, facts)
    lock_quotas([job.owner_id])
    failure = artifacts.quota_failure(job, sum(output.content.size for output in stored))
    without = artifacts.success_without_outputs(job, failure) if failure else {}
    changes: dict[str, Any] = {"outputs": len(stored), **about} | without
    if not states.mark_succeeded(held_by(lease).filter(cancel_asked=False), job, **changes):
        require(held_by(lease).exists())
        raise Cancelled
    artifacts.show_facts(job)
    scratch = children.end_all(job)
    if failure is None:
        result, unneeded = artifacts.publish(job, stored)
        artifacts.share(result)
        return [*unneeded, *scratch]
    if not without:
        raise failure
    promote(job)  # the followers' owners may have room
    keys = [output.key for output in stored]
    bury(sink().name, *keys)
    return [*keys, *scratch]


def split(
    lease: Lease, parts: Sequence[Part], done: Mapping[int, Sequence[artifacts.StoredOutput]],
    recipes: Mapping[int, str] | None = None,
) -> None:  # fmt: skip
    """End the attempt of a job that is split into parts. It waits for its children, and is then claimed again.

    It may be split once more, into further parts.

    `done` has the outputs of the parts that are made already; those of `recipes` may be kept from an earlier job.
    Raises Cancelled if the owner has asked to cancel it.
    """
    job = lease.job
    words = f"split into {len(parts)} parts" if len(parts) > 1 else "split: the beginning first"
    recipes = recipes or {}
    with write():
        kept = kept_parts.take({number: recipe for number, recipe in recipes.items() if number not in done})
        pending = len(parts) - len(done) - len(kept)
        going_on = held_by(lease).filter(cancel_asked=False)
        if not states.mark_queued(going_on, job, words, message=words.capitalize(), pending_children=pending):
            require(held_by(lease).exists())
            raise Cancelled
        children.insert(job, parts, done, kept, recipes)


def wait_again(lease: Lease, specs: Mapping[int, dict[str, Any] | None], reason: str) -> None:
    """End the attempt of a parent whose children must work again: by number, with a new spec or the old."""
    words = f"made {len(specs)} parts again, {reason}"
    with write():
        require(states.mark_queued(held_by(lease), lease.job, words, pending_children=len(specs)))
        children.redo(lease.job, specs)


def finish_child(
    lease: Lease, stored: Sequence[artifacts.StoredOutput], *, message: str, ran: dict[str, str], recipe: str = ""
) -> None:
    """End a child with success: its outputs are kept for its parent, which goes on after the last child.

    With a recipe they are kept for others, too, after the parent has ended.
    """
    with write():
        require(children.lock_parent(lease.job))
        changes: dict[str, Any] = {"message": message, "outputs": len(stored), **ran}
        require(states.mark_succeeded(held_by(lease), lease.job, **changes))
        children.keep(lease.job, stored, recipe)


def end_failed(lease: Lease, failure: Failure, ran: dict[str, str]) -> None:
    """End a failed attempt. The job is queued again if another attempt can help and some are left, else it fails."""
    with write():
        require(write_failure(held_by(lease), lease.job, failure, f"{failure.code}: {failure.detail}", **ran))


def end_released(lease: Lease) -> None:
    """Queue the job again without counting an attempt, as this worker is to stop."""
    held, job = held_by(lease), lease.job
    with write():
        artifacts.bury_outputs(held)
        queued = states.mark_queued(
            held.filter(cancel_asked=False), job, "its worker stopped", message="Waiting to start again"
        )
        require(queued or _mark_cancelled(held.filter(cancel_asked=True), job))


def end_without_scratch(lease: Lease, size: int) -> None:
    """Queue the job again without counting an attempt: this host has no space for its inputs of `size` bytes."""
    message = f"The worker had no scratch space for {human_size(size)}."
    _defer(lease, "no scratch space", message, _DEFERRAL, input_bytes=size)


def end_without_server(lease: Lease, busy: EndpointBusy) -> None:
    """Queue the job again without counting an attempt: its model server takes no request now."""
    _defer(lease, "waits for its model server", busy.message, busy.pause)


def _defer(lease: Lease, reason: str, message: str, pause: timedelta, **changes: Any) -> None:
    held, job = held_by(lease), lease.job
    with write():
        queued = states.mark_queued(
            held.filter(cancel_asked=False), job, reason, message=message, not_before=Now() + pause, **changes
        )
        require(queued or states.mark_cancelled(held.filter(cancel_asked=True), job))


def end_cancelled(lease: Lease) -> None:
    """End a job that was to be cancelled, after its holder has stopped and removed everything."""
    with write():
        artifacts.bury_outputs(held_by(lease))
        require(_mark_cancelled(held_by(lease), lease.job))


def _mark_cancelled(held: QuerySet[Job], job: Job) -> bool:
    done = states.mark_cancelled(held, job)
    keys = children.end_all(job) if done else []
    transaction.on_commit(lambda: discard(*keys))
    return done


def write_failure(held: QuerySet[Job], job: Job, failure: Failure, reason: str, **ran: str) -> bool:
    if job.parent_id is not None:
        children.lock_parent(job)
    artifacts.bury_outputs(held)
    # An attempt that kept something does not count: the next one has less to do, so there is an end of them.
    attempts = job.attempts + (not artifacts.has_kept(job))
    going_on = held.filter(cancel_asked=False)
    if (pause := pause_before_retry(failure, attempts)) is None:
        done = states.mark_failed(going_on, job, failure, attempts=attempts, **ran)
        if done:
            _fail_parent(job, failure, **ran) if job.parent_id is not None else _end_followers(job, failure)
    else:
        done = states.mark_queued(
            going_on, job, reason, attempts=attempts, not_before=Now() + pause, message=failure.detail[:255], **ran
        )
    return done or _mark_cancelled(held.filter(cancel_asked=True), job)


def _fail_parent(child: Job, failure: Failure, **ran: str) -> None:
    """Fail the parent of a child that failed for good. What other children have made is kept for a retry."""
    parent = children.lock_parent(child)
    if parent is not None:
        waiting = states.waiting(parent)
        states.mark_failed(waiting, parent, failure, attempts=parent.attempts + 1, **ran)
        artifacts.bury_outputs(Job.with_children.filter(parent=parent, status=Status.RUNNING))
        states.cancel_children(parent)
        _end_followers(parent, failure)


def _end_followers(job: Job, failure: Failure) -> None:
    """Fail the followers for whom the same attempt would fail in the same way, and let another one lead."""
    for follower in followers(job) if failure.permanent else ():
        if follower.owner_id == job.owner_id or not failure.personal:
            states.mark_failed(states.waiting(follower), follower, failure)
    promote(job)
