"""Checks of direct uploads: work of the lane `bulk` that is no job, as there is no file yet.

The rows and leases are those of uploads.transfers.direct.content_check. Owners take turns, as they do for jobs.
"""

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from uploads.models import DirectUpload
from uploads.transfers.direct import content_check
from uploads.transfers.direct.content_check import ContentCheck

from ..conf import jobs
from ..models import Share, Worker
from ..operations.base import BULK
from .scheduling import Room, claimable, is_paused

_TRIES = 5


def waiting(lane: str) -> QuerySet[DirectUpload]:
    return content_check.waiting() if lane == BULK else DirectUpload.objects.none()


def running(lane: str) -> QuerySet[DirectUpload]:
    return content_check.running() if lane == BULK else DirectUpload.objects.none()


def has_work(lane: str, room: Room | None = None) -> bool:
    """Whether a worker of the lane could begin something now. `room`: its space for inputs that it has to fetch."""
    return claimable(lane, room).exists() or waiting(lane).exists()


def claim(worker: Worker) -> ContentCheck | None:
    """Lease the next upload to check, of the owner who was served least recently. None: there is none."""
    if worker.lane != BULK or is_paused(BULK):
        return None
    served = Share.objects.filter(lane=BULK, owner=OuterRef("upload__owner")).values("served_at")
    found = waiting(BULK).annotate(served=Subquery(served)).select_related("upload__owner")
    for direct in found.order_by(F("served").asc(nulls_first=True), "sent_at")[:_TRIES]:
        check = content_check.claim(direct, jobs().lease_time, jobs().attempts)
        if check is not None:
            Share.objects.update_or_create(lane=BULK, owner_id=direct.upload.owner_id, defaults={"served_at": Now()})
            return check
    return None
