"""Texts about a job for the API and the admin: what it waits for, and its message."""

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from uploads.text.sizes import human_size
from uploads.text.times import human_time
from uploads.transfers.status_text import upload_message, upload_progress

from ..models import Job, Lane, Worker
from . import endpoint_breaker, scheduling
from .scheduling import claimable, lacking

# More jobs ahead of a job are not counted.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Lanes:
    """The state of all lanes. It is read once for the texts of many jobs."""

    paused: Collection[str]
    with_workers: Collection[str]  # live ones
    rooms: Mapping[str, int] = field(default_factory=dict)  # the largest input that a worker has the space to fetch
    lacking: str = ""  # a noun phrase for what no job can start without, if it is missing
    ahead: Mapping[UUID, int] = field(default_factory=dict)  # how many jobs are claimed before each
    endpoints: Mapping[int, str] = field(default_factory=dict)  # why the jobs of model servers wait, by their ids

    @classmethod
    def now(cls, jobs: Iterable[Job] = ()) -> "Lanes":
        """Read the state of the lanes, with the number of jobs ahead of each of `jobs`."""
        rooms, jobs = scheduling.rooms(Worker.live()), list(jobs)
        servers = {job.endpoint_id for job in jobs if job.endpoint_id is not None}
        lanes = {job.lane for job in jobs if job.status == Job.Status.QUEUED and job.leader_id is None}
        return cls(
            paused=set(Lane.objects.filter(paused=True).values_list("name", flat=True)),
            with_workers=set(rooms),
            rooms={lane: room.size for lane, room in rooms.items() if room is not None},
            lacking=lacking() if lanes else "",
            ahead={pk: number for lane in lanes for pk, number in _ahead(lane)},
            endpoints=endpoint_breaker.reasons(servers) if servers else {},
        )


def _ahead(lane: str) -> Iterable[tuple[UUID, int]]:
    """Each claimable job of the lane, and how many jobs are claimed before it.

    Higher priorities come first; within a priority, owners take turns if their jobs take equally long.
    """
    waiting = claimable(lane).order_by("-priority", "queued_at", "id").values_list("pk", "owner_id", "priority")
    queue = list(waiting[:MOST])
    for level in dict.fromkeys(priority for _, _, priority in queue):
        better = sum(priority > level for _, _, priority in queue)
        of_owners = Counter(owner for _, owner, priority in queue if priority == level)
        before: Counter[int] = Counter()
        for pk, owner, priority in queue:
            if priority == level:
                turns = before[owner]
                others = sum(min(number, turns + 1) for other, number in of_owners.items() if other != owner)
                yield pk, better + turns + others
                before[owner] += 1


def waiting_for(job: Job, lanes: Lanes) -> str | None:
    """Why the job does not run, as a noun phrase that completes "Waiting for"."""
    if job.status == Job.Status.UPLOADING:
        done = upload_progress(job.upload) if job.upload else None
        return "Its upload." if done is None else f"Its upload, at {100 * done:.0f} %."
    if job.status != Job.Status.QUEUED:
        return None
    if job.leader_id is not None:
        return _equal_job(job)
    if reason := _blocked_lane(job, lanes) or lanes.endpoints.get(job.endpoint_id or 0):
        return reason
    if job.not_before is not None and (left := (job.not_before - timezone.now()).total_seconds()) > 0:
        return f"Another attempt, in {human_time(max(1, left))}. {job.message}".rstrip()
    if job.pending_children:
        return f"Its parts: {job.pending_children} of them are not done yet."
    return _turn(job, lanes.ahead.get(job.pk, MOST))


def _equal_job(job: Job) -> str:
    if job.endpoint_id is not None:  # answers may be shared, and the job be somebody else's
        return "The answer to an equal request."
    return f"The result of job {job.leader_id}, which is identical."


def _blocked_lane(job: Job, lanes: Lanes) -> str:
    if job.lane not in lanes.with_workers:
        return f"A worker: the lane {job.lane} has no running worker."
    if job.lane in lanes.paused:
        return f"The lane {job.lane}, which is paused."
    if lanes.lacking:
        return lanes.lacking
    if (job.input_bytes or 0) > (room := lanes.rooms.get(job.lane, sys.maxsize)):
        return _space(job, room)
    return ""


def _space(job: Job, room: int) -> str:
    needed = human_size(job.input_bytes or 0)
    return f"Scratch space for its inputs: {needed}. The workers of the lane {job.lane} have {human_size(room)}."


def _turn(job: Job, ahead: int) -> str:
    if ahead == 0:
        return f"A free worker of the lane {job.lane}."
    if ahead >= MOST:
        return f"Its turn: more than {MOST} jobs are ahead of it."
    return "Its turn: 1 job is ahead of it." if ahead == 1 else f"Its turn: {ahead} jobs are ahead of it."


def message_of(job: Job) -> str:
    if job.status == Job.Status.UPLOADING and job.upload is not None:
        return upload_message(job.upload)
    if job.status == Job.Status.RUNNING and job.cancel_asked:
        return "Stopping"
    return job.message or ("Waiting" if job.status == Job.Status.QUEUED else "")
