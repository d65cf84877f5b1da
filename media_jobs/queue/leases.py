"""Leases: claim a job, renew the lease, and write what its holder has made so far.

A lease is the right to run a job until a time by the database's clock. Each write of its holder is fenced by the
lease's token: if it changes no row, the lease is lost (LeaseLost), and the results of the attempt are discarded.
outcomes.py ends the attempt, and lost_leases.py takes back leases that are not renewed.
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass

from django.db import IntegrityError
from django.db.models import QuerySet
from django.db.models.functions import Now

from uploads.runtime.database_connections import write

from ..conf import jobs
from ..errors import LeaseLost
from ..ffmpeg.progress import MAX_ETA, Report, finite
from ..models import Job, Worker
from . import artifacts, children, states
from .scheduling import Room, claimable, is_paused

Status = Job.Status
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Lease:
    job: Job
    token: uuid.UUID

    def key(self, number: int) -> str:
        return artifacts.key_of(self.token, number)


def claim(worker: Worker, room: Room | None = None) -> Lease | None:
    """Lease the next job of the worker's lane. None: there is no job to run.

    `room`: the worker's space for inputs, if it has to fetch them.
    """
    for _ in range(_TRIES):
        token = uuid.uuid4()
        with suppress(IntegrityError):
            if job := states.mark_running(worker, token, room):
                return Lease(job, token)
        # Another worker may hold the row of the next job, for a moment only.
        if not claimable(worker.lane, room).exists() or is_paused(worker.lane):
            return None
    return None


def held_by(lease: Lease) -> QuerySet[Job]:
    """The job, as long as the lease holds: what changes it is fenced."""
    return Job.with_children.filter(pk=lease.job.pk, token=lease.token, status=Status.RUNNING)


def require(held: object) -> None:
    """Raises LeaseLost if no row was changed or found."""
    if not held:
        raise LeaseLost


def renew(lease: Lease, phase: str, report: Report, **ran: str) -> bool:
    """Extend the lease, and write the progress. Returns whether the job is to be cancelled.

    `ran` has the new values of `command` and `log`. Numbers that are not finite are left out: the database would
    refuse a statement that contains one, and the lease would be lost.
    """
    eta = finite(report.eta_seconds, MAX_ETA)
    renewed = held_by(lease).update(
        lease_until=Now() + jobs().lease_time, phase=phase, message=report.message[:255], speed=finite(report.speed),
        progress=min(finite(report.progress) or 0.0, 0.9999), eta_seconds=None if eta is None else round(eta), **ran,
    )  # fmt: skip
    require(renewed)
    cancel_asked = held_by(lease).values_list("cancel_asked", flat=True).first()
    require(cancel_asked is not None)  # the file, and the job with it, may go between the two statements
    if lease.job.parent_id is not None:
        children.show_progress(lease.job.parent_id)
    return bool(cancel_asked)


def reserve_keys(lease: Lease, number: int) -> None:
    """Write how many keys of the token may have bytes. Call it before any of them is stored."""
    require(held_by(lease).update(outputs=number))


def keep(lease: Lease, output: artifacts.StoredOutput) -> None:
    """Keep an output of a child before the child ends: it outlives the attempt. Can be called again."""
    with write():
        # Who ends the attempt locks the parent first, too. So it buries the output, or the next attempt has it.
        require(children.lock_parent(lease.job))
        require(held_by(lease).select_for_update().values_list("pk").first())
        if artifacts.not_kept([output.key]):
            children.keep_outputs(lease.job, [output])
