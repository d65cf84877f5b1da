"""The outputs of a job: the keys that an attempt stores them under, and the files that they become.

A job gets the outputs of its own attempt, or those of an identical job. Call the functions that change rows in the
transaction that ends the job or its attempt.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from uploads.content.intake import Content
from uploads.models import Blob, MediaFile
from uploads.storage.blobs import discard, register
from uploads.storage.files import create_file, lock_blob
from uploads.storage.stores import sinks
from uploads.storage.tombstones import bury
from uploads.transfers.quota import left_of_quota, lock_quotas

from .. import operations
from ..errors import QuotaReached
from ..ffmpeg.probing.media_facts import current_facts
from ..models import Artifact, Job, ScratchBlob
from . import states, texts
from .single_flight import Result, followers, origin


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """An output whose bytes are durable under a key of the attempt's token."""

    name: str
    key: str
    content: Content
    facts: dict[str, Any] | None  # None for data


def key_of(token: uuid.UUID, number: int) -> str:
    """The key that output `number` of an attempt is stored under. The token leads to all of them."""
    return f"{token}.{number}"


def keys_in_use(keys: Collection[str]) -> Collection[str]:
    """hooks.keys_in_use: the keys of attempts that still run, and of what child jobs have made for their parents."""
    tokens = {key: _token_of(key) for key in keys}
    running = Job.with_children.filter(token__in=filter(None, tokens.values()), status=Job.Status.RUNNING)
    held = set(running.values_list("token", flat=True))
    scratch = set(ScratchBlob.objects.filter(key__in=keys).values_list("key", flat=True))
    return [key for key, token in tokens.items() if token in held or key in scratch]


def _token_of(key: str) -> uuid.UUID | None:
    token, dot, _ = key.partition(".")
    try:
        return uuid.UUID(token) if dot else None
    except ValueError:
        return None


def bury_outputs(held: QuerySet[Job]) -> None:
    """Bury the keys of an attempt. In the transaction that ends it.

    In every store: it may have begun while another one took new bytes.
    """
    for job in held.only("token", "outputs"):
        for place in sinks():
            bury(place.name, *keys_of(job))


def discard_outputs(job: Job) -> None:
    """Remove the bytes that a lost attempt may have stored, after its keys were buried."""
    discard(*keys_of(job))


def keys_of(job: Job) -> list[str]:
    """The keys under which the attempt that runs may have stored bytes, without those that were kept for the next."""
    return not_kept(key_of(job.token, number) for number in range(job.outputs)) if job.token is not None else []


def not_kept(keys: Iterable[str]) -> list[str]:
    """The keys that belong to no child."""
    keys = list(keys)
    kept = set(ScratchBlob.objects.filter(key__in=keys).values_list("key", flat=True)) if keys else set()
    return [key for key in keys if key not in kept]


def has_kept(job: Job) -> bool:
    """Whether the attempt that runs has kept outputs for the next one."""
    kept = ScratchBlob.objects.filter(child=job, key__startswith=f"{job.token}.")
    return job.parent_id is not None and kept.exists()


def forget_outputs() -> None:
    """After a restore: attempts that ran when the snapshot was taken may have succeeded since, with these outputs."""
    Job.with_children.filter(status=Job.Status.RUNNING).update(outputs=0)


def publish(job: Job, stored: Sequence[StoredOutput]) -> tuple[Result, list[str]]:
    """Make files of the outputs. Also returns the keys of bytes that the store had already."""
    parts, unneeded = [], []
    for output in stored:
        blob, key = register(output.key, output.content, output.facts)
        parts.append((output.name, blob))
        unneeded.append(key)
    result = Result(job, parts)
    _create_artifacts(job, result)
    return result, unneeded


def share(result: Result) -> None:
    """Answer the followers of the job that made the result."""
    found = list(followers(result.job))
    if not found:
        return
    result.job.refresh_from_db(fields=["build", "message", "measured"])
    lock_quotas({follower.owner_id for follower in found}, wait=False)
    for follower in found:
        answer(follower, result, f"answered with the result of {origin(follower, result.job)}")


def answer(job: Job, result: Result, reason: str, **changes: Any) -> None:
    """End a waiting job with the result of another; or with a failure, if its owner's quota has no room for it."""
    failure = quota_failure(job, result.size)
    made = {
        "outputs": len(result.parts), "build": result.job.build, "message": result.job.message,
        "measured": result.job.measured,
    }  # fmt: skip
    outcome = success_without_outputs(job, failure) if failure else made
    if failure and not outcome:
        states.mark_failed(states.waiting(job), job, failure, **changes)
        return
    changes = {"leader": None, "started_at": Now()} | changes | outcome
    if states.mark_succeeded(states.waiting(job), job, reason, cached=True, **changes):
        show_facts(job)
        if failure is None:
            _create_artifacts(job, result)


def quota_failure(job: Job, size: int) -> QuotaReached | None:
    """Why the job's owner cannot have files of this size, or None. It holds as long as `lock_quotas` does."""
    left = left_of_quota(job.owner_id)
    if left is None or size <= left:
        return None
    return QuotaReached("Your quota has no room for the result. Delete files that you do not need.")


def success_without_outputs(job: Job, failure: QuotaReached) -> dict[str, Any]:
    """What changes in the job's row if it can succeed without outputs; empty if it cannot.

    It loses its cache key, as it has no result for others, who may have room.
    """
    operation = operations.registry.get(job.operation)
    if operation is None or not operation.message_without_outputs:
        return {}
    return {"outputs": 0, "message": f"{operation.message_without_outputs} {failure.detail}", "cache_key": ""}


def save_facts(job: Job, facts: dict[str, Any] | None) -> None:
    """Lock the Blob of the job's main file, and write the facts that the job has read from it, unless it has them.

    Call it before the job's row is locked: uploads lock in this order, too.
    """
    blob = lock_blob(MediaFile.objects.filter(jobs=job))
    if facts is not None and blob is not None and current_facts(blob.facts) is None:
        Blob.objects.filter(pk=blob.pk).update(facts=facts)


def show_facts(job: Job) -> None:
    """Show the Blob's facts at the job's main file, as a job of its owner has read them or was given them."""
    operation = operations.registry.get(job.operation)
    if operation is None or not operation.reads_facts:
        return
    MediaFile.objects.filter(jobs=job).update(has_facts=True)
    if Job._meta.get_field("file").is_cached(job) and job.file is not None:
        job.file.has_facts = True  # the answer to its upload shows it already


def _create_artifacts(job: Job, result: Result) -> None:
    for name, blob in result.parts:
        file = create_file(job.owner_id, _file_name(job, name), blob, MediaFile.Origin.JOB)
        texts.note(Artifact.objects.create(job=job, name=name, file=file))


def _file_name(job: Job, name: str) -> str:
    """The name of the main file before the artifact's own: "movie.mp4" and "poster.jpg" make "movie.poster.jpg"."""
    if job.file is None:
        return name
    stem = job.file.name.rpartition(".")[0] or job.file.name
    return f"{stem[: 250 - len(name)]}.{name}"
