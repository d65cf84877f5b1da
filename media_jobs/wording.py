"""Why a job does not run yet, in words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Count
from django.utils import timezone

from uploads import wording as of_uploads

from .models import Job, Lane
from .results import live_workers


@dataclass(frozen=True, slots=True)
class Lanes:
    """What is said of many jobs needs to be known of the lanes but once."""

    paused: Collection[str]
    manned: Collection[str]  # by a live worker
    queued: Mapping[str, int]

    @classmethod
    def now(cls) -> "Lanes":
        queued = Job.objects.filter(status=Job.Status.QUEUED, leader=None).values_list("lane").annotate(Count("id"))
        return cls(
            paused=set(Lane.objects.filter(paused=True).values_list("name", flat=True)),
            manned=set(live_workers().values_list("lane", flat=True)),
            queued=dict(queued.order_by()),
        )


def waiting_for(job: Job, lanes: Lanes) -> str | None:
    if job.status == Job.Status.UPLOADING:
        done = of_uploads.progress_of(job.upload) if job.upload else None
        return "Its upload." if done is None else f"Its upload, at {100 * done:.0f} %."
    if job.status != Job.Status.QUEUED:
        return None
    if job.leader_id is not None:
        return f"Job {job.leader_id}, which does the same."
    if job.lane in lanes.paused:
        return f"The lane {job.lane} is paused."
    if job.lane not in lanes.manned:
        return f"A worker: none of the lane {job.lane} is running."
    if job.not_before is not None and (left := (job.not_before - timezone.now()).total_seconds()) > 0:
        return f"Another attempt, in {left:.0f} s."
    others = lanes.queued.get(job.lane, 1) - 1
    return f"A free worker; {others} other jobs wait in the lane {job.lane}." if others > 0 else "A free worker."
