"""Checks of direct uploads: work of the lane `bulk` that is no job, as there is no file yet.

The rows and leases are those of uploads.transfers.direct.content_check. Their time counts as that of jobs.
"""

from django.db.models import F, OuterRef, QuerySet, Subquery

from uploads.models import DirectUpload
from uploads.transfers.direct import content_check
from uploads.transfers.direct.content_check import ContentCheck

from ..conf import jobs
from ..models import Share, Worker
from ..operations.base import BULK
from .scheduling import Room, claimable, is_paused, serve

_TRIES = 5


def waiting(lane: str) -> QuerySet[DirectUpload]:
    return content_check.waiting() if lane == BULK else DirectUpload.objects.none()


def running(lane: str) -> QuerySet[DirectUpload]:
    return content_check.running() if lane == BULK else DirectUpload.objects.none()


def has_work(lane: str, room: Room | None = None) -> bool:
    """Whether a worker of the lane could begin something now. `room`: its space for inputs that it has to fetch."""
    return claimable(lane, room).exists() or waiting(lane).exists()


def claim(worker: Worker) -> ContentCheck | None:
    """Lease the next upload to check, of the owner who has had the least of the lane's time. None: there is none."""
    if worker.lane != BULK or is_paused(BULK):
        return None
    share = Share.objects.filter(lane=BULK, owner=OuterRef("upload__owner"))
    found = waiting(BULK).annotate(used=Subquery(share.values("used")), served=Subquery(share.values("served_at")))
    turns = [F(name).asc(nulls_first=True) for name in ("used", "served")]
    for direct in found.select_related("upload__owner").order_by(*turns, "sent_at")[:_TRIES]:
        check = content_check.claim(direct, jobs().lease_time, jobs().attempts)
        if check is not None:
            serve(BULK, direct.upload.owner_id)
            return check
    return None
