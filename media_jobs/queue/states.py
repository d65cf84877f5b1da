"""From one status to the next. Every UPDATE of a job's status is here, and each looks at what it changed. (All but
the one that claims: that is SQL by hand, in `claiming`.)

`found` is the job, as long as it is in a status from which it may move; a holder's is fenced by the token. Each is
called in the transaction of its caller, and answers whether it moved.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.db import IntegrityError
from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Now

from uploads.runtime.database_connections import write
from uploads.transfers.quota import lock_quotas
from uploads.transitions import record

from ..errors import Failure, NoSuchJob, QuotaReached
from ..models import Job
from . import job_counters, results
from .single_flight import followers, promote

Status = Job.Status
Settled = TypeVar("Settled")
_FREE: dict[str, Any] = {
    "token": None, "lease_until": None, "phase": "", "speed": None, "eta_seconds": None, "cancel_asked": False,
}  # fmt: skip
_TRIES = 5
_LONGEST = timedelta(minutes=10)  # wait for another attempt


def settled(transact: Callable[[], Settled]) -> Settled:
    """Carry out a transaction that may meet another, which stores the same bytes or comes to lead the same work."""
    for _ in range(_TRIES - 1):
        try:
            with write():
                return transact()
        except IntegrityError:
            continue
    with write():
        return transact()


def lock(job: Job) -> Job:
    """Its row as it is now, which nobody else changes until this transaction ends."""
    found = Job.objects.select_for_update(of=["self"]).select_related("file").filter(pk=job.pk).first()
    if found is None:
        raise NoSuchJob("This job has been deleted.")
    return found


def waiting(job: Job) -> QuerySet[Job]:
    """It, as long as nobody runs it and it has not ended."""
    return Job.objects.filter(pk=job.pk, status__in=[Status.UPLOADING, Status.QUEUED])


def queue(found: QuerySet[Job], job: Job, why: str, **changes: Any) -> bool:
    """It is to be run, by itself or by the leader that it follows."""
    done = found.update(**(_FREE | {"progress": 0, "outputs": 0, "not_before": None} | changes), status=Status.QUEUED)
    if done:
        record("job", job.pk, Status.QUEUED, why)
    return bool(done)


def queue_again(found: QuerySet[Job], job: Job, why: str, failure: Failure | None = None, **changes: Any) -> bool:
    """After an attempt; unless it is to be cancelled, which whoever asked for it was told that it will be.

    One that ended with a failure counts. The more of them there were, the longer it waits.
    """
    said = {"message": "Starts again"} if failure is None else _after(failure, job.attempts)
    is_queued = queue(found.filter(cancel_asked=False), job, why, **said, **changes)
    return is_queued or cancel(found.filter(cancel_asked=True), job)


def _after(failure: Failure, attempts: int) -> dict[str, Any]:
    wait = min(failure.pause * 4**attempts, _LONGEST)
    return {"attempts": attempts + 1, "not_before": Now() + wait, "message": failure.detail[:255]}


def succeed(found: QuerySet[Job], job: Job, why: str = "", *, message: str = "", **changes: Any) -> bool:
    done = found.update(
        **(_FREE | changes), status=Status.SUCCEEDED, progress=1, finished_at=Now(), message=message[:255] or "Done"
    )
    if done:
        record("job", job.pk, Status.SUCCEEDED, why)
        job_counters.count_ended(job, Status.SUCCEEDED, cached=bool(changes.get("cached")))
        results.show_facts(job)
    return bool(done)


def answer(job: Job, result: results.Result, why: str, **changes: Any) -> None:
    """A job that waits has what another made; or fails, if its owner may not have that."""
    if failure := results.beyond_quota(job, result.size):
        _refuse(job, failure, why, **changes)
        return
    made: dict[str, Any] = {"outputs": len(result.parts), "build": result.job.build, "message": result.job.message}
    if succeed(waiting(job), job, why, cached=True, leader=None, started_at=Now(), **(made | changes)):
        results.copy(result, job)


def _refuse(job: Job, failure: QuotaReached, why: str, **changes: Any) -> None:
    if kept := results.without_outputs(job, failure):
        succeed(waiting(job), job, why, cached=True, leader=None, started_at=Now(), **(changes | kept))
    else:
        fail(waiting(job), job, failure, **changes)


def share(result: results.Result) -> None:
    """Give it to those who followed the job that made it."""
    found = list(followers(result.job))
    if not found:
        return
    result.job.refresh_from_db(fields=["build", "message"])
    lock_quotas({follower.owner_id for follower in found}, wait=False)
    for follower in found:
        answer(follower, result, f"as job {result.job.pk}, which made the same")


def fail(found: QuerySet[Job], job: Job, failure: Failure, **changes: Any) -> bool:
    done = found.update(
        **(_FREE | changes), status=Status.FAILED, finished_at=Now(), error_code=failure.code, leader=None, outputs=0,
        error_detail=failure.detail[:500], message=failure.detail[:255],
    )  # fmt: skip
    if done:
        record("job", job.pk, Status.FAILED, f"{failure.code}: {failure.detail}")
        job_counters.count_ended(job, Status.FAILED, failure.code)
    return bool(done)


def fail_all(found: QuerySet[Job], job: Job, failure: Failure, **changes: Any) -> bool:
    """Where it led others, the failure is theirs, too, if it would come again."""
    if not fail(found, job, failure, **changes):
        return False
    for follower in followers(job) if failure.permanent else ():
        if follower.owner_id == job.owner_id or not failure.personal:
            fail(waiting(follower), follower, failure)
    promote(job)
    return True


def cancel(found: QuerySet[Job], job: Job) -> bool:
    done = found.update(
        **_FREE, status=Status.CANCELLED, finished_at=Now(), leader=None, outputs=0, message="Cancelled",
        attempts=F("attempts") + Case(When(status=Status.RUNNING, then=1), default=0),
    )  # fmt: skip
    if done:
        record("job", job.pk, Status.CANCELLED)
        job_counters.count_ended(job, Status.CANCELLED)
        promote(job)
    return bool(done)
