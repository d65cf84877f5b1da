"""What jobs made: written once, and found again for whoever asks for the same.

Here nothing changes a job's status; each function is called inside the transaction that does.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from uploads.content.intake import Content
from uploads.models import Blob, MediaFile
from uploads.storage.blobs import register
from uploads.storage.files import create_file
from uploads.transfers.quota import left_of_quota

from .. import operations
from ..conf import jobs
from ..errors import QuotaReached
from ..models import Artifact, Job, Worker


@dataclass(frozen=True, slots=True)
class Kept:
    """An output whose bytes are durable under a key of the attempt's token."""

    name: str
    key: str
    content: Content
    facts: dict[str, Any]


def cache_key(operation: str, version: int, params: dict[str, Any], owner_id: int, files: Iterable[MediaFile]) -> str:
    """The same for work that would make the same: for the same owner, or for anybody where results are shared."""
    said = {
        "operation": operation,
        "version": version,
        "params": params,
        "owner": None if jobs().share_results else owner_id,
        "inputs": [(file.blob.sha256, file.blob.size) for file in files],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Result:
    """A finished job whose outputs are all still here. Their Blobs are locked: they stay until we have ours."""

    job: Job
    parts: Sequence[tuple[str, Blob]]

    @property
    def size(self) -> int:
        return sum(blob.size for _, blob in self.parts)


def find(key: str) -> Result | None:
    """What answers a job with this key without any work, made by an ffmpeg that we still use."""
    if not key:
        return None
    builds = Worker.live().values("build")
    done = Job.objects.filter(cache_key=key, status=Job.Status.SUCCEEDED, build__in=builds).order_by("finished_at")
    return next(filter(None, map(_whole, done)), None)


def _whole(job: Job) -> Result | None:
    names = dict(job.artifacts.values_list("name", "file__blob"))
    locked = Blob.objects.select_for_update().filter(pk__in=names.values(), state=Blob.State.STORED).order_by("pk")
    blobs = {blob.pk: blob for blob in locked}
    if len(names) != job.outputs or not blobs.keys() >= set(names.values()):
        return None
    return Result(job, [(name, blobs[pk]) for name, pk in names.items()])


def publish(job: Job, kept: Sequence[Kept]) -> tuple[Result, list[str]]:
    """Make files of what was kept. Answers also with the keys of bytes that turned out not to be needed."""
    parts, superfluous = [], []
    for item in kept:
        blob, extra = register(item.key, item.content, item.facts)
        parts.append((item.name, blob))
        superfluous.append(extra)
    result = Result(job, parts)
    copy(result, job)
    return result, superfluous


def beyond_quota(job: Job, size: int) -> QuotaReached | None:
    """Why its owner cannot have files of so many bytes, if so. True for as long as `lock_quotas` holds."""
    left = left_of_quota(job.owner_id)
    if left is None or size <= left:
        return None
    return QuotaReached("The result does not fit into what your quota has left. Delete files you do not need.")


def without_outputs(job: Job, failure: QuotaReached) -> dict[str, Any]:
    """What its row has instead of them, if it is a success all the same; but no answer to others, who have room."""
    operation = operations.registry.get(job.operation)
    if operation is None or not operation.message_without_outputs:
        return {}
    return {"outputs": 0, "message": f"{operation.message_without_outputs} {failure.detail}", "cache_key": ""}


def lock_input(job: Job, facts: dict[str, Any] | None) -> None:
    """Keep what was learnt of the main file. Before its job's row is touched: uploads lock in this order, too."""
    blob = Blob.objects.select_for_update().filter(pk__in=Blob.objects.filter(files__jobs=job)).first()
    if facts is not None and blob is not None and blob.facts is None:
        Blob.objects.filter(pk=blob.pk).update(facts=facts)


def show_facts(job: Job) -> None:
    """Show the facts of its main file: a job of its owner has read them, or was given them."""
    operation = operations.registry.get(job.operation)
    if operation is None or not operation.reads_facts:
        return
    MediaFile.objects.filter(jobs=job).update(has_facts=True)
    if Job._meta.get_field("file").is_cached(job) and job.file is not None:
        job.file.has_facts = True  # the answer to its upload shows it already


def copy(result: Result, job: Job) -> None:
    """Give `job` what the other made: files of its own, of the same bytes."""
    for name, blob in result.parts:
        attach(job, name, blob)


def attach(job: Job, name: str, blob: Blob) -> None:
    file = create_file(job.owner_id, _file_name(job, name), blob, MediaFile.Origin.JOB)
    Artifact.objects.create(job=job, name=name, file=file)


def _file_name(job: Job, name: str) -> str:
    """What its owner sees: the name of the main file before the artifact's own."""
    if job.file is None:
        return name
    stem = job.file.name.rpartition(".")[0] or job.file.name
    return f"{stem[: 250 - len(name)]}.{name}"
