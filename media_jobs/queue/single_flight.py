"""Single flight: only one of several identical jobs runs, and the others wait for its result.

Jobs are identical if they have the same cache key. The job that runs is the leader. The others are its followers, and
no worker can claim them. When the leader ends, they get its result or its failure, or one of them becomes the new
leader.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from uploads.models import Blob, MediaFile, Transition
from uploads.transfers.quota import lock_quotas

from ..conf import jobs
from ..models import Job, Worker
from . import model_endpoints
from .extras import models_of

Status = Job.Status


@dataclass(frozen=True, slots=True)
class Result:
    """A job that succeeded and whose outputs all exist. Their Blobs are locked until the transaction ends."""

    job: Job
    parts: Sequence[tuple[str, Blob]]

    @property
    def size(self) -> int:
        return sum(blob.size for _, blob in self.parts)


def cache_key(job: Job, files: Iterable[MediaFile]) -> str:
    """Hash what determines the outputs of a job on these files, and its owner unless results are shared."""
    parts = {
        "operation": job.operation,
        "version": job.version,
        "params": job.params,
        "owner": None if jobs().share_results or model_endpoints.is_shared(job) else job.owner_id,
        **({"model": model} if (model := models_of(job)) is not None else {}),
        **model_endpoints.recipe(job),
        "inputs": [(file.blob.sha256, file.blob.size) for file in files],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_identical(job: Job) -> tuple[Job | None, Result | None]:
    """Return the leader of the jobs identical to this one, or else the result of one that has succeeded.

    Usually there is no identical job: then this takes one query and no lock. If another job becomes the leader
    meanwhile, the write of the caller fails with an IntegrityError, and the caller tries again.
    """
    if not is_known(job.cache_key):
        return None, None
    lock_quotas([job.owner_id])
    # In this order: a leader that is not found any more may have ended a moment ago, and left its result.
    leader = find_leader(job.cache_key)
    return leader, None if leader else find_result(job.cache_key)


def is_known(key: str) -> bool:
    """Whether a job does this work already, or has done it."""
    known = Job.objects.filter(cache_key=key, status__in=[Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
    return bool(key) and known.exists()


def find_leader(key: str) -> Job | None:
    """The job that does this work already. The lock delays its end until the caller's job follows it."""
    if not key:
        return None
    leading = Job.objects.select_for_update().filter(status__in=[Status.QUEUED, Status.RUNNING], leader=None)
    return leading.filter(cache_key=key).first()


def find_result(key: str) -> Result | None:
    """The oldest result that is complete and made by an ffmpeg build that a live worker uses."""
    if not key:
        return None
    builds = Worker.live().values("build")
    done = Job.objects.filter(cache_key=key, status=Status.SUCCEEDED, build__in=builds).order_by("finished_at")
    return next(filter(None, map(_lock_outputs, done)), None)


def _lock_outputs(job: Job) -> Result | None:
    names = dict(job.artifacts.values_list("name", "file__blob"))
    locked = Blob.objects.select_for_update().filter(pk__in=names.values(), state=Blob.State.STORED).order_by("pk")
    blobs = {blob.pk: blob for blob in locked}
    if len(names) != job.outputs or not blobs.keys() >= set(names.values()):
        return None
    return Result(job, [(name, blobs[pk]) for name, pk in names.items()])


def origin(job: Job, other: Job) -> str:
    """For the timeline of a job: which other one it follows or is answered by. Jobs of others are not named."""
    return f"job {other.pk}" if job.owner_id == other.owner_id else "an equal job"


def followers(job: Job) -> QuerySet[Job]:
    return Job.objects.select_related("file").filter(leader=job, status=Status.QUEUED).order_by("queued_at", "id")


def promote(job: Job) -> None:
    """Make the oldest follower of an ended job the leader of the others.

    No message is sent: housekeeping and idle workers look for claimable jobs.
    """
    # Locked: a follower that is cancelled at this moment must not lead, as the others would wait for it for ever.
    waiting = list(followers(job).select_for_update(of=["self"]))
    if not waiting:
        return
    heir, *others = waiting
    Job.objects.filter(pk=heir.pk, status=Status.QUEUED).update(leader=None)
    Job.objects.filter(pk__in=[other.pk for other in others], status=Status.QUEUED).update(leader=heir)
    ended = f"no longer follows {origin(heir, job)}, which ended without a result"
    Transition.record("job", heir.pk, Status.QUEUED, ended)
