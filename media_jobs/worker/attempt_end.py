"""How an attempt at a job can end, and what is written then. Bytes of a lease that was lost are discarded."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections

from uploads.storage.blobs import discard

from ..conf import jobs
from ..errors import Cancelled, EndpointBusy, Failure, Interruption, LeaseLost, NoScratch, QuotaReached, Released
from ..operations.divisible import Part
from ..queue import outcomes
from ..queue.artifacts import StoredOutput
from ..queue.leases import Lease

_RETRY_AFTER = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Success:
    """The outputs are stored, but not published yet."""

    stored: Sequence[StoredOutput]
    facts: dict[str, Any] | None
    message: str
    recipe: str = ""  # of a part that other jobs can use
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """The job is to be done by children."""

    parts: Sequence[Part]
    done: Mapping[int, Sequence[StoredOutput]]  # the stored outputs of parts that are made already
    recipes: Mapping[int, str]  # of parts that an earlier job may have made


@dataclass(frozen=True, slots=True)
class PartsAgain:
    """These children must work again, and the parent waits for them."""

    specs: Mapping[int, dict[str, Any] | None]  # what they need to know, by their number; None: the same as before
    reason: str


End = Success | Split | PartsAgain | Failure | Interruption


def record_end(lease: Lease, end: End, ran: dict[str, str]) -> None:
    """Write how the attempt ended, and try again while the database is away. After a lease's time it is too late."""
    until = time.monotonic() + jobs().lease
    while True:
        try:
            return _write_end(lease, end, ran)
        except (OperationalError, InterfaceError):
            close_old_connections()
            if time.monotonic() > until:
                raise LeaseLost from None
            time.sleep(_RETRY_AFTER)


def _write_end(lease: Lease, end: End, ran: dict[str, str]) -> None:
    match end:
        case Success():
            _write_success(lease, end, ran)
        case Split():
            _write_split(lease, end)
        case PartsAgain():
            outcomes.wait_again(lease, end.specs, end.reason)
        case Failure():
            outcomes.end_failed(lease, end, ran)
        case Cancelled():
            outcomes.end_cancelled(lease)
        case Released():
            outcomes.end_released(lease)
        case NoScratch(size=size):
            outcomes.end_without_scratch(lease, size)
        case EndpointBusy():
            outcomes.end_without_server(lease, end)


def _write_success(lease: Lease, success: Success, ran: dict[str, str]) -> None:
    keys = [output.key for output in success.stored]
    try:
        with _discarded_unless_held(lease, keys):
            if lease.job.parent_id is not None:
                recipe = success.recipe
                outcomes.finish_child(lease, success.stored, message=success.message, ran=ran, recipe=recipe)
            else:
                outcomes.finish(
                    lease, success.stored, facts=success.facts, message=success.message, ran=ran,
                    measured=success.measured,
                )  # fmt: skip
    except QuotaReached as failure:
        # In this order: until the failure is written, another try may still succeed and need the bytes.
        outcomes.end_failed(lease, failure, ran)
        discard(*keys)


def _write_split(lease: Lease, split: Split) -> None:
    with _discarded_unless_held(lease, [output.key for outputs in split.done.values() for output in outputs]):
        outcomes.split(lease, split.parts, split.done, split.recipes)


@contextmanager
def _discarded_unless_held(lease: Lease, keys: Sequence[str]) -> Iterator[None]:
    """Discard the stored bytes if the lease turns out to be lost, or the job to be cancelled.

    They have tombstones then. If an earlier try has ended the job, and only its answer was lost, they have none.
    """
    try:
        try:
            yield
        except Cancelled:
            outcomes.end_cancelled(lease)
            discard(*keys)
    except LeaseLost:
        discard(*keys)
        raise
