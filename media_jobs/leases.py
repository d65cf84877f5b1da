"""Who may run a job, and for how long. Every UPDATE of a job's status is here, and each looks at what it changed.

A lease is a token and a time. Each write of its holder is fenced by the token: when none of its rows was changed the
job is somebody else's by now, and whatever the holder did counts for nothing. Times are the database's.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from uploads.connections import write
from uploads.models import MediaFile
from uploads.storing import discard
from uploads.transitions import record

from . import results
from .conf import jobs
from .errors import AlreadyFinished, Cancelled, Failure, LeaseLost, NotFinished, WorkerLost
from .ffmpeg.progress import Report
from .models import Job, Lane, Share, Worker

Status = Job.Status
Settled = TypeVar("Settled")
_FREE: dict[str, Any] = {
    "token": None, "lease_until": None, "phase": "", "speed": None, "eta_seconds": None, "cancel_asked": False,
}  # fmt: skip
# A live holder renews each second: one whose lease lies further ahead than any was given has lost its clock.
_ABSURD = timedelta(minutes=2)
_TRIES = 5
# The next job of a lane: the best priority there is, of the owner who has waited longest, their oldest. It is one
# statement by hand, as eight slots ask it hundreds of times a second: each part of it is one look into an index. (An
# EXISTS instead of the innermost would be one scan of all that wait, as PostgreSQL plans it; and so would be the
# innermost without its order, which only the index has at hand.)
_NEXT = """
    SELECT id FROM media_jobs_job
    WHERE {claimable} AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) AND owner_id = (
        SELECT owner_id FROM media_jobs_share AS share WHERE share.lane = %(lane)s AND (
            SELECT owner_id FROM media_jobs_job WHERE {claimable} AND owner_id = share.owner_id
            AND priority = (SELECT MAX(priority) FROM media_jobs_job WHERE {claimable}) ORDER BY queued_at, id LIMIT 1
        ) IS NOT NULL ORDER BY share.served_at, share.id LIMIT 1
    ) AND NOT EXISTS (SELECT 1 FROM media_jobs_lane WHERE name = %(lane)s AND paused)
    ORDER BY queued_at, id LIMIT 1 {locked}
"""
_CLAIMABLE = """
    lane = %(lane)s AND status = 'queued' AND leader_id IS NULL AND (not_before IS NULL OR not_before <= {now})
"""


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
        with write():
            job_id = _next_in(worker.lane)
            lease = job_id and _take(job_id, worker)
        if lease:
            return lease
        # Whoever holds the row that we would have taken holds it for a moment only.
        if not claimable(worker.lane).exists() or is_paused(worker.lane):
            return None
    return None


def is_paused(lane: str) -> bool:
    return Lane.objects.filter(name=lane, paused=True).exists()


def _next_in(lane: str) -> Any:
    now = (
        "statement_timestamp()" if connection.vendor == "postgresql" else "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"
    )
    locked = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT.format(claimable=_CLAIMABLE.format(now=now), locked=locked), {"lane": lane})
        found = cursor.fetchone()
    return found and found[0]


def _take(job_id: Any, worker: Worker) -> Lease | None:
    token = uuid.uuid4()
    taken = Job.objects.filter(pk=job_id, status=Status.QUEUED, leader=None).update(
        status=Status.RUNNING, worker=worker, token=token, lease_until=Now() + jobs().lease_time, started_at=Now(),
        phase=Job.Phase.FETCHING, progress=0, message="Starting", outputs=0, not_before=None, command="", log="",
    )  # fmt: skip
    if not taken:
        return None
    job = Job.objects.select_related("file__blob").get(pk=job_id)
    # Whoever is being served by another slot just now need not wait for us to say so, too.
    shares = Share.objects.select_for_update(skip_locked=True, no_key=True) if _can_skip() else Share.objects.all()
    served = shares.filter(lane=job.lane, owner_id=job.owner_id)
    Share.objects.filter(pk__in=served.values("pk")).update(served_at=Now())
    record("job", job.pk, Status.RUNNING, f"attempt {job.attempts + 1}")
    return Lease(job, token)


def _can_skip() -> bool:
    return connection.features.has_select_for_update_skip_locked


def _held(lease: Lease) -> QuerySet[Job]:
    return Job.objects.filter(pk=lease.job.pk, token=lease.token, status=Status.RUNNING)


def renew(lease: Lease, phase: str, report: Report) -> bool:
    """Go on holding it, and say how far the work has come. Answers whether somebody asked for it to be cancelled."""
    renewed = _held(lease).update(
        lease_until=Now() + jobs().lease_time, phase=phase, message=report.message[:255], speed=report.speed,
        progress=min(report.progress or 0.0, 0.9999),
        eta_seconds=None if report.eta_seconds is None else max(0, round(report.eta_seconds)),
    )  # fmt: skip
    _must(renewed)
    return Job.objects.filter(pk=lease.job.pk).values_list("cancel_asked", flat=True).get()


def claim_keys(lease: Lease, number: int) -> None:
    """Say, before any of their bytes is stored, how many keys of the token there will be."""
    _must(_held(lease).update(outputs=number))


def succeed(
    lease: Lease, kept: Sequence[results.Kept], *, facts: dict[str, Any] | None, message: str, ran: dict[str, str]
) -> None:
    """The job has its outcome: rows of everything it made, in one transaction, for whoever followed it, too."""
    superfluous = _settled(lambda: _succeed(lease, kept, facts, message, ran))
    discard(*superfluous)


def _succeed(
    lease: Lease, kept: Sequence[results.Kept], facts: dict[str, Any] | None, message: str, ran: dict[str, str]
) -> list[str]:
    done = {"status": Status.SUCCEEDED, "progress": 1, "finished_at": Now(), "message": message[:255] or "Done"}
    results.lock_input(lease.job, facts)
    if not _held(lease).filter(cancel_asked=False).update(**(_FREE | done), outputs=len(kept), **ran):
        _must(_held(lease).exists())
        raise Cancelled  # whoever asked was told that it will be
    result, superfluous = results.publish(lease.job, kept)
    record("job", lease.job.pk, Status.SUCCEEDED)
    for follower in _followers(lease.job):
        followed = {"leader": None, "cached": True, "outputs": len(kept), "build": ran.get("build", "")}
        if _finish_waiting(follower, **done, **followed):
            results.copy(result, follower)
            record("job", follower.pk, Status.SUCCEEDED, f"as job {lease.job.pk}, which made the same")
    return superfluous


def fail(lease: Lease, failure: Failure, ran: dict[str, str]) -> None:
    """This attempt failed. Another may follow, if that can help and the attempts are not used up."""
    with write():
        spent = lease.job.attempts + 1
        if not failure.permanent and spent < jobs().attempts:
            _must(_requeue(_held(lease), lease.job, f"{failure.code}: {failure.detail}", attempts=spent, **ran))
            return
        _must(_fail(_held(lease), lease.job, failure, attempts=spent, **ran))
        _leave_followers(lease.job, failure)


def give_back(lease: Lease) -> None:
    """Let another worker run it, at once and without counting an attempt: this one is to stop."""
    with write():
        _must(_requeue(_held(lease), lease.job, "its worker stopped"))


def end_cancelled(lease: Lease) -> None:
    """The holder has stopped, and removed whatever there was of it."""
    with write():
        _must(_cancel(_held(lease), lease.job))


def _must(done: object) -> None:
    if not done:
        raise LeaseLost


def cancel(job: Job) -> Job:
    """Ask a running job to stop; end one that does not run. It is cancelled within two seconds, with all it made."""
    with write():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if job.is_finished:
            raise AlreadyFinished(f"This job has {job.status} already.")
        if job.status == Status.RUNNING:
            Job.objects.filter(pk=job.pk, status=Status.RUNNING).update(cancel_asked=True)
        else:
            _cancel(Job.objects.filter(pk=job.pk, status=job.status), job)
        job.refresh_from_db()
    return job


def withdraw(job: Job) -> None:
    """Cancel it at once, under the hands of whoever runs it: its file goes. In the caller's transaction."""
    _cancel(Job.objects.filter(pk=job.pk, status__in=Job.UNFINISHED), job)
    transaction.on_commit(lambda: _discard_attempt(job))


def retry(job: Job) -> Job:
    """Run a failed or cancelled job again, from the beginning."""
    return _settled(lambda: _retry(job))


def _retry(job: Job) -> Job:
    # Before its own row is locked: whoever leads locks those who follow, and not the other way round.
    leader = leader_of(job.cache_key)
    job = Job.objects.select_for_update(of=["self"]).select_related("file").get(pk=job.pk)
    if not job.is_finished:
        raise NotFinished("This job is not finished. Cancel it first.")
    if job.status == Status.SUCCEEDED:
        raise AlreadyFinished("This job has succeeded: there is nothing to try again.")
    if job.file is None:
        raise AlreadyFinished("The file of this job is gone: there is nothing to run it on.")
    again = {"attempts": 0, "error_code": "", "error_detail": "", "finished_at": None, "started_at": None}
    message = "Waits for another try"
    Job.objects.filter(pk=job.pk, status=job.status).update(
        **(_FREE | again), status=Status.QUEUED, queued_at=Now(), leader=leader, progress=0, message=message,
        outputs=0, not_before=None,
    )  # fmt: skip
    record("job", job.pk, Status.QUEUED, "asked to try again")
    job.refresh_from_db()
    return job


def begin_uploaded(job: Job, file: MediaFile, key: str) -> None:
    """The upload that it waited for is a file. In the transaction that made it one."""
    leader = leader_of(key)
    result = None if leader else results.find(key)  # in this order: one who leads no more may have left its result
    begun: dict[str, Any] = {"file": file, "cache_key": key, "queued_at": Now()}
    if result is not None:
        begun |= {"status": Status.SUCCEEDED, "progress": 1, "cached": True, "outputs": result.job.outputs,
                  "build": result.job.build, "message": result.job.message, "finished_at": Now()}  # fmt: skip
    else:
        begun |= {"status": Status.QUEUED, "leader": leader, "message": ""}
    if Job.objects.filter(pk=job.pk, status=Status.UPLOADING).update(**begun):
        job.file = file
        if result is not None:
            results.copy(result, job)
        record("job", job.pk, begun["status"], "its upload is complete")


def fail_uploading(job: Job, failure: Failure) -> None:
    """The upload that it waited for is no file, or none that it can work on. In the transaction that ended it."""
    _fail(Job.objects.filter(pk=job.pk, status=Status.UPLOADING), job, failure)


def reap(look_again: Callable[[], None]) -> int:
    """Take back what workers have lost. `look_again` waits as long as a live holder needs to be heard of.

    A clock that jumped makes every lease look expired, until its holder renews it a second later.
    """
    looked = set(_expired().values_list("token", flat=True))
    if not looked:
        return 0
    look_again()
    return sum(_reap(job) for job in _expired() if job.token in looked)


def _expired() -> QuerySet[Job]:
    over = Q(lease_until__lt=Now()) | Q(lease_until__gt=Now() + jobs().lease_time + _ABSURD)
    return Job.objects.filter(over, status=Status.RUNNING)


def _reap(job: Job) -> int:
    lost = _expired().filter(pk=job.pk, token=job.token)
    with write():
        cancelled = Job.objects.filter(pk=job.pk, cancel_asked=True).exists()
        if cancelled:
            done = _cancel(lost, job)
        elif job.attempts + 1 >= jobs().attempts:
            failure = WorkerLost(
                f"{job.attempts + 1} workers were lost while they ran this job. Does it need more memory?"
            )
            done = _fail(lost, job, failure, attempts=job.attempts + 1)
            _leave_followers(job, failure)
        else:
            done = _requeue(lost, job, "its worker was lost", attempts=job.attempts + 1)
    if done:
        _discard_attempt(job)
    return int(done)


def _discard_attempt(job: Job) -> None:
    """The bytes that a lost attempt may have stored."""
    if job.token is not None:
        discard(*(key_of(job.token, number) for number in range(job.outputs)))


def _requeue(found: QuerySet[Job], job: Job, why: str, **changes: Any) -> bool:
    attempts = changes.get("attempts", 0)
    changes["not_before"] = Now() + timedelta(seconds=4 ** (attempts - 1)) if attempts else None
    done = found.update(**(_FREE | changes), status=Status.QUEUED, progress=0, message="Starts again", outputs=0)
    if done:
        record("job", job.pk, Status.QUEUED, why)
    return bool(done)


def _fail(found: QuerySet[Job], job: Job, failure: Failure, **changes: Any) -> bool:
    done = found.update(
        **(_FREE | changes), status=Status.FAILED, finished_at=Now(), error_code=failure.code, leader=None, outputs=0,
        error_detail=failure.detail[:500], message=failure.detail[:255],
    )  # fmt: skip
    if done:
        record("job", job.pk, Status.FAILED, f"{failure.code}: {failure.detail}")
    return bool(done)


def _cancel(found: QuerySet[Job], job: Job) -> bool:
    done = found.update(
        **_FREE, status=Status.CANCELLED, finished_at=Now(), leader=None, outputs=0, message="Cancelled"
    )
    if done:
        record("job", job.pk, Status.CANCELLED)
        _promote(job)
    return bool(done)


def _followers(job: Job) -> QuerySet[Job]:
    return Job.objects.select_related("file").filter(leader=job, status=Status.QUEUED).order_by("queued_at", "id")


def _finish_waiting(job: Job, **changes: Any) -> bool:
    return bool(Job.objects.filter(pk=job.pk, status=Status.QUEUED).update(**changes))


def _leave_followers(job: Job, failure: Failure) -> None:
    """What a leader's failure means for those who waited for it."""
    if not failure.permanent or isinstance(failure, WorkerLost):
        _promote(job)
        return
    for follower in _followers(job):
        _fail(Job.objects.filter(pk=follower.pk, status=Status.QUEUED), follower, failure)


def _promote(job: Job) -> None:
    """The oldest of those who followed it leads the others now. Its lane is woken by housekeeping, or asks itself."""
    # Locked: one that is cancelled at this moment must not inherit, as the others would wait for it for ever.
    waiting = list(_followers(job).select_for_update(of=["self"]))
    if not waiting:
        return
    heir, *others = waiting
    Job.objects.filter(pk=heir.pk, status=Status.QUEUED).update(leader=None)
    Job.objects.filter(pk__in=[other.pk for other in others], status=Status.QUEUED).update(leader=heir)
    record("job", heir.pk, Status.QUEUED, f"runs itself: job {job.pk}, which it followed, has ended")


def leader_of(key: str) -> Job | None:
    """Who is at the same work already. The lock makes its end wait until we have joined."""
    if not key:
        return None
    leading = Job.objects.select_for_update().filter(status__in=[Status.QUEUED, Status.RUNNING], leader=None)
    return leading.filter(cache_key=key).first()


def _settled(transact: Callable[[], Settled]) -> Settled:
    """Carry out a transaction that may meet another, which stores the same bytes or comes to lead the same work."""
    for _ in range(_TRIES - 1):
        try:
            with write():
                return transact()
        except IntegrityError:
            continue
    with write():
        return transact()
