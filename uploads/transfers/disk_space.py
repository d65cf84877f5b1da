"""Space on the disk: what is free above MILLRACE_MIN_FREE (the floor), and what is reserved for arriving uploads.

An upload reserves space for its announced size before its first byte. Reservations are made under the lock of the
sink's row, so that two uploads never get the same space.

A reservation costs the client nothing, so reservations are limited:

- The reservations of one account leave space for other accounts.
- All reservations together leave space for small uploads.
- The reservation of a paused resumable upload is released after five minutes: `reserved` is set to the number of
  bytes received. The upload itself stays, and its next request reserves space again.
"""

import random
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Greatest, Now

from .. import conf
from ..errors import InsufficientStorage, QuotaExceeded, StorageUnavailable
from ..models import SinkMark, Upload
from ..runtime.ballast_file import ballast, free_in
from ..runtime.database_connections import write
from ..sinks.base import Sink, SinkError
from ..storage.marker import is_ours
from ..text.sizes import exact_size
from .quota import EffectiveLimits, left_of_quota, live_uploads

# An upload of unknown size reserves this much at a time. Uploads up to this size may use the space that is kept for
# small uploads.
RESERVATION_STEP = 256 * 1024**2
# A paused resumable upload keeps its reservation for this long.
IDLE_TIMEOUT = timedelta(minutes=5)
# Several uploads of one account reserve at most this share of the space that is not reserved by other accounts.
OWNER_SHARE = 1 / 2
# All reservations together take at most this share of the space. The rest is kept for small uploads.
TOTAL_SHARE = 7 / 8
_BATCH = 1000
_OWNER_SHARE_EXCEEDED = (
    "Your unfinished uploads have reserved as much of the server's disk as one account may reserve."
    " Finish or delete some of them, or try again later."
)
# When free space reaches the floor, running jobs stop one after another, within this many seconds.
SPREAD = 3.0


def check_free(sink: Sink, needed: int) -> int | None:
    """Return the free bytes above the floor, or refuse if they are fewer than `needed`.

    For jobs: they use what they ask for, so they may take space that uploads have only reserved.
    """
    left = above_floor(sink)
    if left is not None and left < needed:
        raise disk_full()
    return left


def above_floor(sink: Sink, mark: SinkMark | None = None) -> int | None:
    """Free bytes above the floor: negative below the floor, None where the sink does not know its free space.

    `mark`: the sink's row, if the caller has read it already.
    """
    if not is_ours(sink, mark):
        raise StorageUnavailable("The server cannot reach its storage. Try again later.", retry_after=60)
    free = _free(sink)
    return None if free is None else free - floor()


def free_above_floor(folder: Path) -> int:
    """Bytes that jobs may use on the disk of a folder."""
    return max(0, free_in(folder) - floor())


def disk_full() -> InsufficientStorage:
    return InsufficientStorage(
        "The server does not have enough free disk space for this. Try again later.", retry_after=60
    )


def _free(sink: Sink) -> int | None:
    try:
        return sink.free()
    except SinkError as error:
        raise StorageUnavailable("The server cannot read the free space of its storage. Try again later.") from error


def floor() -> int:
    """Bytes that uploads and jobs leave free: MIN_FREE, or more if the ballast file needs it."""
    return max(conf.limits().min_free, ballast().reserve(conf.limits().media_root))


def check_floor(sink: Sink, folder: Path) -> None:
    """Refuse to continue if the sink or the folder is below the floor. Runs every second, so without a query."""
    free = [_free(sink), free_in(folder) if folder.exists() else None]
    if any(left is not None and left < floor() for left in free):
        raise disk_full()


class FloorWatch:
    """Stops a running job when free space is below the floor, after a random delay.

    The delays differ, so that the space freed by the first job that stops may be enough for the others.
    """

    def __init__(self, sink: Sink, folder: Path) -> None:
        self._sink, self._folder = sink, folder
        self._stop_at: float | None = None

    def check(self) -> None:
        try:
            check_floor(self._sink, self._folder)
        except InsufficientStorage:
            now = time.monotonic()
            self._stop_at = self._stop_at or now + random.uniform(0, SPREAD)  # noqa: S311  # no secret
            if now >= self._stop_at:
                raise
        else:
            self._stop_at = None


@dataclass(frozen=True, slots=True)
class _Space:
    """Free bytes above the floor, and how many of them are reserved."""

    free: int
    reserved: int
    reserved_by_owner: int  # part of `reserved`: by the uploads of the account that asks

    @property
    def left(self) -> int:
        return self.free - self.reserved

    def check(self, needed: int, *, is_growth: bool) -> None:
        """Refuse a reservation that the space or the shares do not allow."""
        if needed > self.left:
            raise disk_full()
        if is_growth:
            return
        of_others = self.reserved - self.reserved_by_owner
        if self.reserved_by_owner and self.reserved_by_owner + needed > OWNER_SHARE * (self.free - of_others):
            raise InsufficientStorage(_OWNER_SHARE_EXCEEDED, retry_after=60)
        if self.reserved and needed > RESERVATION_STEP and self.reserved + needed > TOTAL_SHARE * self.free:
            raise disk_full()


def reserve(
    owner_id: int, limits: EffectiveLimits, sink: Sink, *, needed: int, wanted: int, is_growth: bool = False
) -> int:
    """Reserve between `needed` and `wanted` bytes, and return how many. Needs a transaction with the owner's lock.

    The shares do not limit the growth of an upload of unknown size, which takes little at a time.
    """
    try:
        return _reserve(owner_id, limits, sink, needed, wanted, is_growth)
    except (QuotaExceeded, InsufficientStorage):
        if not release_idle():  # housekeeping may not have done it yet
            raise
    return _reserve(owner_id, limits, sink, needed, wanted, is_growth)


def _reserve(owner_id: int, limits: EffectiveLimits, sink: Sink, needed: int, wanted: int, is_growth: bool) -> int:
    quota = left_of_quota(owner_id, limits)
    if quota is not None and quota < needed:
        raise QuotaExceeded(f"Your quota has {exact_size(quota)} left. Delete files that you no longer need.")
    # The lock makes reservations on this disk one at a time.
    mark = SinkMark.objects.select_for_update().filter(sink=sink.name).first()
    space = _space(sink, owner_id, mark)
    if space is not None:
        space.check(needed, is_growth=is_growth)
    return min(value for value in (wanted, quota, space.left if space else None) if value is not None)


def renew_reservation(upload: Upload, limits: EffectiveLimits, sink: Sink) -> int:
    """Return what a paused upload has reserved when it is continued; reserve again what was released."""
    missing = (upload.declared_size or 0) - upload.reserved
    if missing > 0:
        reserve(upload.owner_id, limits, sink, needed=missing, wanted=missing)
    return max(upload.reserved, upload.declared_size or 0)


def release_idle() -> int:
    """Release the reservations of resumable uploads that have been paused for long. Return how many."""
    paused = Upload.objects.filter(state=Upload.State.RECEIVING, expires_at__isnull=False, heartbeat_at=None)
    overdue = paused.filter(reserved__gt=F("offset"), paused_at__lt=Now() - IDLE_TIMEOUT)
    # Unknown since when: uploads of an earlier version, and all after the clock was set back. Their time starts now.
    unknown = paused.filter(Q(paused_at=None) | Q(paused_at__gt=Now()))
    _change(unknown, paused_at=Now())
    return _change(overdue, reserved=F("offset"))


def _change(uploads: QuerySet[Upload], **changes: Any) -> int:
    """Skip rows that are locked: `reserve`, which holds other locks, must not wait for them."""
    if not uploads.exists():
        return 0
    with write():
        found = uploads.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_BATCH]
        return Upload.objects.filter(pk__in=list(found)).update(**changes)


def reserved_bytes(sink: Sink) -> int:
    """Bytes that are reserved for unfinished uploads and have not arrived yet."""
    return _sums(sink, None)[0]


def _sums(sink: Sink, owner_id: int | None) -> tuple[int, int]:
    """Reserved bytes that have not arrived: of all uploads, and of those of one owner."""
    left = Greatest(F("reserved") - F("offset"), 0)
    of_owner = Sum(left, filter=Q(owner=owner_id))
    found = live_uploads().filter(sink=sink.name).aggregate(total=Sum(left), of_owner=of_owner)
    return found["total"] or 0, found["of_owner"] or 0


def check_unreserved(sink: Sink, needed: int) -> None:
    """Refuse if fewer than `needed` bytes are free and not reserved. Reserves nothing."""
    space = _space(sink, None)
    if space is not None and space.left < needed:
        raise disk_full()


def _space(sink: Sink, owner_id: int | None, mark: SinkMark | None = None) -> _Space | None:
    # Before the disk is read: bytes that an upload writes in between are then counted twice, not never.
    total, of_owner = _sums(sink, owner_id)
    free = above_floor(sink, mark)
    return None if free is None else _Space(free, total, of_owner)


def free_for_uploads(sink: Sink) -> int:
    """Free bytes above MIN_FREE that are not reserved. Ignores the marker of the storage, and the ballast file."""
    free = sink.free()
    return sys.maxsize if free is None else free - reserved_bytes(sink) - conf.limits().min_free
