"""Child jobs: a parent is split into parts, which workers encode side by side, and joined when all are done.

    parent: queued → running (splits) → queued, waits for its children → running (joins) → succeeded

A child is a row of the same table, so claims, leases and retries are the same. It has no timeline, no files and no
quota; its outputs are ScratchBlobs, which the parent joins. Lock the parent before its children.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from pydantic import ValidationError

from uploads.storage.stores import sink
from uploads.storage.tombstones import bury

from .. import operations
from ..models import Job, ScratchBlob, Share
from ..operations.divisible import PARTS_SHARE, DivisibleOperation, Part, PartState, parts_made
from . import kept_parts, states
from .artifacts import StoredOutput, bury_outputs, keys_of
from .notify import wake

Status = Job.Status


def insert(
    parent: Job, parts: Sequence[Part], done: Mapping[int, Sequence[StoredOutput]],
    kept: Mapping[int, Sequence[ScratchBlob]], recipes: Mapping[int, str],
) -> None:  # fmt: skip
    """Write the children of a parent that is being split, in the transaction that queues it again.

    They have their parent's place in the queue, and among each other the order of the parts. `done` has the outputs
    of those that the parent has made itself, by their number, and `kept` those of an earlier job.
    """
    assert parent.queued_at is not None
    usual, first = _lane_of_parts(parent), Job.with_children.filter(parent=parent).count()
    lanes = {part.lane or usual for part in parts}
    for lane in lanes:
        Share.ensure(lane, parent.owner_id)
    ended = {"status": Status.SUCCEEDED, "progress": 1, "finished_at": Now(), "message": "Done"}
    made = {*done, *kept}
    Job.with_children.bulk_create(
        Job(
            parent=parent, number=first + number, part=part.spec, weight=part.weight, owner_id=parent.owner_id,
            operation=parent.operation, version=parent.version, params=parent.params, lane=part.lane or usual,
            priority=parent.priority, file_id=parent.file_id, input_bytes=parent.input_bytes,
            queued_at=parent.queued_at + timedelta(microseconds=first + number),
            request_id=parent.request_id, **(ended if number in made else {"status": Status.QUEUED}),
        )
        for number, part in enumerate(parts)
    )  # fmt: skip
    for child in children_of(parent).filter(number__in=[first + number for number in made]):
        number = child.number - first
        if number in done:
            keep_outputs(child, done[number], recipes.get(number, ""))
        else:
            kept_parts.give(kept[number], child)
    _wake_later(lanes)


def _wake_later(lanes: Iterable[str]) -> None:
    for lane in lanes:
        transaction.on_commit(partial(wake, lane))


def _lane_of_parts(parent: Job) -> str:
    operation = operations.get(parent.operation)
    if not isinstance(operation, DivisibleOperation):
        return parent.lane
    return operation.parts_lane_of(operation.parameters.model_validate(parent.params))


def lock_parent(child: Job) -> Job | None:
    """Lock the parent of a child, before the child's row is changed. None if it waits for no child any more."""
    parents = Job.objects.select_for_update(of=["self"]).filter(pk=_parent_of(child), pending_children__gt=0)
    return parents.first()


def _parent_of(child: Job) -> UUID:
    assert child.parent_id is not None
    return child.parent_id


def keep(child: Job, stored: Sequence[StoredOutput], recipe: str) -> None:
    """Keep the outputs of a child that has succeeded, and let its parent go on after the last one."""
    keep_outputs(child, stored, recipe)
    parents = Job.objects.filter(pk=_parent_of(child))
    parents.update(pending_children=F("pending_children") - 1)
    _wake_later(parents.filter(pending_children=0).values_list("lane", flat=True))


def keep_outputs(child: Job, stored: Sequence[StoredOutput], recipe: str = "") -> None:
    """With a recipe only if they are all that the child makes."""
    ScratchBlob.objects.bulk_create(
        ScratchBlob(
            child=child, name=output.name, sink=sink().name, key=output.key,
            size=output.content.size, sha256=output.content.sha256, recipe=recipe,
        )
        for output in stored
    )  # fmt: skip


def kept_names(child: Job) -> list[str]:
    """The names of what earlier attempts at the child have kept."""
    return list(ScratchBlob.objects.filter(child=child).values_list("name", flat=True))


def children_of(parent: Job) -> QuerySet[Job]:
    """The children of a job, in the order of their parts."""
    return Job.with_children.filter(parent=parent).order_by("number").prefetch_related("scratch")


def requeue_ended(parent: Job) -> int:
    """Queue the children again that ended without a result. Returns how many."""
    ended = Job.with_children.filter(parent=parent, status__in=[Status.FAILED, Status.CANCELLED])
    return _queue_again(ended)


def _queue_again(ended: QuerySet[Job]) -> int:
    _wake_later(set(ended.values_list("lane", flat=True)))
    return states.queue_children_again(ended)


def redo(parent: Job, specs: Mapping[int, dict[str, Any] | None]) -> None:
    """Queue children again, by number: with another spec, or with None because their outputs are lost."""
    chosen = Job.with_children.filter(parent=parent, number__in=specs)
    for number, spec in specs.items():
        if spec is not None:
            chosen.filter(number=number).update(part=spec)
    _bury_scratch(chosen)
    _queue_again(chosen.filter(status=Status.SUCCEEDED))


def end_all(parent: Job) -> list[str]:
    """Delete all children, as the parent has ended or starts anew. Returns the keys to remove after the transaction.

    What another job can use is kept. Workers that run one lose the lease, and discard what they made.
    """
    children = Job.with_children.filter(parent=parent)
    if not children.exists():
        return []
    running = children.filter(status=Status.RUNNING)
    keys = [key for child in running for key in keys_of(child)]
    bury_outputs(running)
    kept_parts.release(children)
    keys += _bury_scratch(children)
    children.delete()
    return keys


def _bury_scratch(children: QuerySet[Job]) -> list[str]:
    found = ScratchBlob.objects.filter(child__in=children.values("pk"))
    keys = []
    for name, key in found.values_list("sink", "key"):
        bury(name, key)
        keys.append(key)
    found.delete()
    return keys


def show_progress(parent_id: UUID) -> None:
    """Write the progress of the children into the row of their parent."""
    columns = ("weight", "status", "progress", "part", "message")
    rows = list(Job.with_children.filter(parent=parent_id).values_list(*columns))
    whole = sum(weight for weight, *_ in rows)
    if not whole or len(rows) == 1:  # a part that is alone is the first of all: the others are not known yet
        return
    done, parts = 0.0, []
    for weight, status, progress, part, message in rows:
        is_done = status == Status.SUCCEEDED
        done += weight * (1 if is_done else progress)
        parts.append(PartState(part or {}, message, is_done))
    share, message = _words(parent_id, parts)
    Job.objects.filter(pk=parent_id, status=Status.QUEUED, pending_children__gt=0).update(
        progress=share * done / whole, message=message[:255]
    )


def _words(parent_id: UUID, parts: Sequence[PartState]) -> tuple[float, str]:
    """The most progress that the parent shows while the children work, and its message. Joining is the rest."""
    parent = Job.objects.only("operation", "params").filter(pk=parent_id).first()
    operation = operations.registry.get(parent.operation) if parent else None
    if parent is not None and isinstance(operation, DivisibleOperation):
        with suppress(ValidationError):  # a plug-in was changed meanwhile
            params = operation.parameters.model_validate(parent.params)
            return operation.parts_share(params), operation.message_of_parts(params, parts)
    return PARTS_SHARE, parts_made(parts)


def counts(parents: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """How many children of each of these jobs are queued, running, and so on. Jobs without children are left out."""
    of_status = {str(status): Count("pk", filter=Q(status=status)) for status in Status if status != Status.UPLOADING}
    children = Job.with_children.filter(parent__in=parents).order_by()
    rows = children.values("parent").annotate(total=Count("pk"), **of_status)
    names = ["total", *of_status]
    return {row["parent"]: {name: row[name] for name in names} for row in rows}  # type: ignore[misc, literal-required]
