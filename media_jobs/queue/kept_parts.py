"""Parts that outlive their job: what children made is kept for a while, for a later job with an equal part.

They are ScratchBlobs without a child. A job that is split takes those of its recipes over, and gives them back when
it ends. So each has one user at a time, and equal parts of two jobs that run side by side are made twice. A recipe
includes the owner: nobody gets what another account made. They count for no quota and are in no list; housekeeping
limits their age and size (`forget`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.db.models import QuerySet, Sum
from django.db.models.functions import Now

from uploads.models import MediaFile
from uploads.runtime.database_connections import write
from uploads.storage.blobs import discard
from uploads.storage.tombstones import bury

from .. import operations
from ..conf import jobs
from ..models import Job, ScratchBlob
from ..operations.divisible import DivisibleOperation

_BATCH = 500


def recipe_of(job: Job, spec: Mapping[str, Any], files: Sequence[MediaFile | None], build: str) -> str:
    """Hash what determines the outputs of a part of this job; "" if they are of no use to other jobs.

    `files`: all of the job. `build`: of ffmpeg.
    """
    operation = operations.get(job.operation)
    if not jobs().parts_kept or not isinstance(operation, DivisibleOperation):
        return ""
    recipe, numbers = operation.recipe(spec), operation.inputs_of(spec)
    if recipe is None:
        return ""
    used = [files[number] for number in (range(len(files)) if numbers is None else sorted(numbers))]
    parts = {
        "operation": job.operation,
        "version": job.version,
        "owner": job.owner_id,
        "build": build,
        "inputs": [(file.blob.sha256, file.blob.size) for file in used if file is not None],
        "recipe": recipe,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def take(recipes: Mapping[int, str]) -> dict[int, list[ScratchBlob]]:
    """The kept outputs of these parts, by the numbers of the parts, locked until the transaction ends.

    A recipe that several parts have is found for one of them.
    """
    numbers: dict[str, int] = {recipe: number for number, recipe in recipes.items() if recipe}
    kept = _kept().filter(recipe__in=numbers).select_for_update().order_by("recipe", "name")
    found = groupby(kept, lambda blob: blob.recipe)
    # One of each name: two jobs that ended at the same moment may both have kept theirs.
    return {numbers[recipe]: list({blob.name: blob for blob in blobs}.values()) for recipe, blobs in found}


def give(blobs: Sequence[ScratchBlob], child: Job) -> None:
    ScratchBlob.objects.filter(pk__in=[blob.pk for blob in blobs]).update(child=child, kept_at=None)


def release(children: QuerySet[Job]) -> None:
    """Keep what these children made, which are to be deleted. Of equal outputs one is kept."""
    held = ScratchBlob.objects.filter(child__in=children.values("pk")).exclude(recipe="")
    known = set(_kept().filter(recipe__in=held.values("recipe")).values_list("recipe", flat=True))
    for child, recipe in held.values_list("child", "recipe").distinct():
        if recipe not in known:
            known.add(recipe)
            ScratchBlob.objects.filter(child=child).update(child=None, kept_at=Now())


def forget() -> int:
    """The chore: delete what is kept for too long, and the oldest while all of it takes too much space."""
    kept = _kept().order_by("-kept_at", "-pk")
    too_old = kept.filter(kept_at__lt=Now() - timedelta(seconds=jobs().parts_kept))
    done = sum(_delete(recipe) for recipe in set(too_old.values_list("recipe", flat=True)[:_BATCH]))
    size = kept.aggregate(size=Sum("size"))["size"] or 0
    for recipe, bytes_of in list(kept.reverse().values_list("recipe", "size")[: 4 * _BATCH]):
        if size <= jobs().parts_size:
            break
        done += _delete(recipe)
        size -= bytes_of
    return done


def _kept() -> QuerySet[ScratchBlob]:
    return ScratchBlob.objects.filter(child=None)


def _delete(recipe: str) -> int:
    with write():
        # Locked: a job that is split at this moment may take them.
        found = list(_kept().filter(recipe=recipe).select_for_update())
        for blob in found:
            bury(blob.sink, blob.key)
        ScratchBlob.objects.filter(pk__in=[blob.pk for blob in found]).delete()
    discard(*(blob.key for blob in found))
    return len(found)
