"""Who may run a job, and for how long; what its holder says of it, and how it ends.

A lease is a token and a time. Each write of its holder is fenced by the token: when none of its rows was changed the
job is somebody else's by now, and whatever the holder did counts for nothing. Times are the database's.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from uploads.conf import sink
from uploads.errors import InsufficientStorage, StorageUnavailable
from uploads.runtime.database_connections import write
from uploads.storage.blobs import discard
from uploads.storage.tombstones import bury
from uploads.transfers.disk_space import check_floor, check_free
from uploads.transfers.quota import lock_quotas

from ..conf import jobs
from ..errors import Cancelled, Failure, LeaseLost, WorkerLost
from ..ffmpeg.progress import MAX_ETA, Report, finite
from ..models import Job, Lane, Worker
from . import job_counters, results, states
from .claim import take
from .single_flight import promote

Status = Job.Status
# A live holder renews each second: one whose lease lies further ahead than any was given has lost its clock.
_ABSURD = timedelta(minutes=2)
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Lease:
    job: Job
    token: uuid.UUID

    def key(self, number: int) -> str:
        return key_of(self.token, number)


def key_of(token: uuid.UUID, number: int) -> str:
    """Where output `number` of an attempt is stored. Whoever knows the token can find and remove them all."""
    return f"{token}.{number}"


def keys_in_use(keys: Collection[str]) -> Collection[str]:
    """registry.keys_in_use: those of attempts that may yet finish."""
    tokens = {key: _token_of(key) for key in keys}
    live = Job.objects.filter(token__in=filter(None, tokens.values()), status=Status.RUNNING)
    alive = set(live.values_list("token", flat=True))
    return [key for key, token in tokens.items() if token in alive]


def _token_of(key: str) -> uuid.UUID | None:
    token, dot, _ = key.partition(".")
    try:
        return uuid.UUID(token) if dot else None
    except ValueError:
        return None


def claimable(lane: str) -> QuerySet[Job]:
    ready = Q(not_before=None) | Q(not_before__lte=Now())
    return Job.objects.filter(ready, lane=lane, status=Status.QUEUED, leader=None)


def claim(worker: Worker) -> Lease | None:
    """The right to run the best job of the worker's lane, or None where there is none to run."""
    for _ in range(_TRIES):
        token = uuid.uuid4()
        with suppress(IntegrityError):
            if job := take(worker, token):
                return Lease(job, token)
        # Whoever holds the row that we would have taken holds it for a moment only.
        if not claimable(worker.lane).exists() or is_paused(worker.lane):
            return None
    return None


def lacking() -> str:
    """What no job can be begun without, and is not there, in words; or nothing. To wait for it costs no attempt."""
    try:
        check_free(sink(), 1)
        check_floor(sink(), jobs().work_root)
    except InsufficientStorage:
        return "Room on the server's disk."
    except StorageUnavailable:
        return "The server's disk, which cannot be seen just now."
    return ""


def is_paused(lane: str) -> bool:
    return Lane.objects.filter(name=lane, paused=True).exists()


def _held(lease: Lease) -> QuerySet[Job]:
    return Job.objects.filter(pk=lease.job.pk, token=lease.token, status=Status.RUNNING)


def renew(lease: Lease, phase: str, report: Report, **ran: str) -> bool:
    """Go on holding it, and say how far the work has come. Answers whether somebody asked for it to be cancelled.

    `ran` is what is new of the command and the log. Numbers that make no sense are left out: a database refuses the
    whole statement because of one, and with it the lease.
    """
    eta = finite(report.eta_seconds, MAX_ETA)
    renewed = _held(lease).update(
        lease_until=Now() + jobs().lease_time, phase=phase, message=report.message[:255], speed=finite(report.speed),
        progress=min(finite(report.progress) or 0.0, 0.9999), eta_seconds=None if eta is None else round(eta), **ran,
    )  # fmt: skip
    _must(renewed)
    is_asked = _held(lease).values_list("cancel_asked", flat=True).first()
    _must(is_asked is not None)  # the file, and the job with it, may go between the two statements
    return bool(is_asked)


def claim_keys(lease: Lease, number: int) -> None:
    """Say, before any of their bytes is stored, how many keys of the token there will be."""
    _must(_held(lease).update(outputs=number))


def succeed(
    lease: Lease, kept: Sequence[results.Kept], *, facts: dict[str, Any] | None, message: str, ran: dict[str, str]
) -> None:
    """The job has its outcome: rows of everything it made, in one transaction, for whoever followed it, too.

    QuotaReached: its owner may not have it, and it is nothing without.
    """
    superfluous = states.settled(lambda: _succeed(lease, kept, facts, message, ran))
    discard(*superfluous)


def _succeed(
    lease: Lease, kept: Sequence[results.Kept], facts: dict[str, Any] | None, message: str, ran: dict[str, str]
) -> list[str]:
    results.lock_input(lease.job, facts)
    lock_quotas([lease.job.owner_id])  # before its row, as submitting does
    refused = results.beyond_quota(lease.job, sum(item.content.size for item in kept))
    ending: dict[str, Any] = {"message": message, "outputs": len(kept), **ran}
    without = results.without_outputs(lease.job, refused) if refused else {}
    if not states.succeed(_held(lease).filter(cancel_asked=False), lease.job, **(ending | without)):
        _must(_held(lease).exists())
        raise Cancelled  # whoever asked was told that it will be
    if without:
        promote(lease.job)  # they may have room for it
        unused = [item.key for item in kept]
        bury(sink().name, *unused)
        return unused
    if refused:
        raise refused
    result, superfluous = results.publish(lease.job, kept)
    states.share(result)
    return superfluous


def fail(lease: Lease, failure: Failure, ran: dict[str, str]) -> None:
    """This attempt failed. Another may follow, if that can help and the attempts are not used up."""
    with write():
        _must(_attempt_failed(_held(lease), lease.job, failure, f"{failure.code}: {failure.detail}", **ran))


def give_back(lease: Lease) -> None:
    """Let another worker run it, at once and without counting an attempt: this one is to stop."""
    with write():
        bury_outputs(_held(lease))
        _must(states.queue_again(_held(lease), lease.job, "its worker stopped"))


def end_cancelled(lease: Lease) -> None:
    """The holder has stopped, and removed whatever there was of it."""
    with write():
        bury_outputs(_held(lease))
        _must(states.cancel(_held(lease), lease.job))


def _must(done: object) -> None:
    if not done:
        raise LeaseLost


def reap(look_again: Callable[[], None]) -> int:
    """Take back what workers have lost. `look_again` waits as long as a live holder needs to be heard of.

    A clock that jumped makes every lease look expired, until its holder renews it a second later.
    """
    looked = set(lost().values_list("token", flat=True))
    if not looked:
        return 0
    look_again()
    return sum(_reap(job) for job in lost() if job.token in looked)


def lost() -> QuerySet[Job]:
    """Those that run, as it looks, and nobody renews."""
    over = Q(lease_until__lt=Now()) | Q(lease_until__gt=Now() + jobs().lease_time + _ABSURD)
    return Job.objects.filter(over, status=Status.RUNNING)


def _reap(job: Job) -> int:
    found = lost().filter(pk=job.pk, token=job.token)
    times = f", {job.attempts + 1} times" if job.attempts else ""
    failure = WorkerLost(f"Its worker was lost{times}. Does it need more memory?")
    with write():
        done = _attempt_failed(found, job, failure, "its worker was lost")
        if done:
            job_counters.count_lost(job)
    if done:
        discard_attempt(job)
    return int(done)


def bury_outputs(found: QuerySet[Job]) -> None:
    """What this attempt may have stored is nobody's, as it ends here. In the transaction that ends it."""
    for token, outputs in found.values_list("token", "outputs"):
        if token is not None:
            bury(sink().name, *(key_of(token, number) for number in range(outputs)))


def forget_outputs() -> None:
    """After a restore: attempts that ran when the snapshot was taken may have succeeded since, with these outputs."""
    Job.objects.filter(status=Status.RUNNING).update(outputs=0)


def discard_attempt(job: Job) -> None:
    """The bytes that a lost attempt may have stored."""
    if job.token is not None:
        discard(*(key_of(job.token, number) for number in range(job.outputs)))


def _attempt_failed(found: QuerySet[Job], job: Job, failure: Failure, why: str, **ran: Any) -> bool:
    bury_outputs(found)
    spent = job.attempts + 1
    if not failure.permanent and spent < jobs().attempts:
        return states.queue_again(found, job, why, failure, **ran)
    has_failed = states.fail_all(found.filter(cancel_asked=False), job, failure, attempts=spent, **ran)
    return has_failed or states.cancel(found.filter(cancel_asked=True), job)
