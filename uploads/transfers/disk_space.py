"""Space on the disk: what is free above the floor, and what is reserved for uploads whose bytes are still to come.

An upload reserves space for all it has announced before its first byte comes. Every reservation is made under the
lock of the sink's row, so that two uploads never get the same last gigabyte.

A reservation costs its client nothing, so it is limited: those of one account leave room for the others, all of them
leave some for small uploads, and that of a resumable upload that nobody sends lapses. A lapse is written into the row
(`reserved` goes down to the bytes that are here): whatever the clock does, no other upload gets the room of one that
still counts on it. The upload stays, and its next request reserves again.
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
from .quota import EffectiveLimits, left_of_quota, live_uploads

# An upload that cannot say its size is promised so much at a time. One this small may always have what is left.
RESERVATION_STEP = 256 * 1024**2
# So long a resumable upload that nobody sends keeps its promise.
IDLE_TIMEOUT = timedelta(minutes=5)
# Several uploads of one account get at most this share of the room that the others have not been promised.
OWNER_SHARE = 1 / 2
# All promises together take at most this share of the space. The rest is for small uploads.
TOTAL_SHARE = 7 / 8
_AT_A_TIME = 1000
_OWNER_HAS_ITS_SHARE = (
    "Your unfinished uploads have reserved as much of the server's disk as one account may."
    " Finish or delete some of them, or try again later."
)
# When the disk comes to its floor, works in progress stop one after another, within so many seconds.
SPREAD = 3.0


def check_free(sink: Sink, needed: int) -> int | None:
    """How many bytes the disk has above its floor; they must be `needed` at least.

    For jobs, which really take what they ask for: they do not wait for room that uploads have only been promised.
    """
    left = above_floor(sink)
    if left is not None and left < needed:
        raise disk_full()
    return left


def above_floor(sink: Sink, mark: SinkMark | None = None) -> int | None:
    """What is free above the floor. Less than nothing, where the floor is reached; None, where nobody knows.

    `mark`: the sink's row, if it is known.
    """
    if not is_ours(sink, mark):
        raise StorageUnavailable(
            "The server cannot see its disk: no file can be taken just now. Try again later.", retry_after=60
        )
    free = _free(sink)
    return None if free is None else free - floor()


def disk_full() -> InsufficientStorage:
    return InsufficientStorage("The server's disk has no room for this. Try again later.", retry_after=60)


def _free(sink: Sink) -> int | None:
    try:
        return sink.free()
    except SinkError as error:
        raise StorageUnavailable("The server's disk does not answer. Try again later.") from error


def floor() -> int:
    """What uploads and jobs leave free: MIN_FREE, or what the ballast needs."""
    return max(conf.limits().min_free, ballast().reserve(conf.limits().media_root))


def check_floor(sink: Sink, folder: Path) -> None:
    """Whether work may go on writing to both. No query, as it is asked each second."""
    free = [_free(sink), free_in(folder) if folder.exists() else None]
    if any(left is not None and left < floor() for left in free):
        raise disk_full()


class FloorWatch:
    """Tells one work of several that it must stop, as the disk has come to its floor.

    Not all of them at the same moment: what the first one leaves may be enough for the others.
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
    """What the disk has above its floor, and how much of that is promised."""

    free: int
    promised: int
    to_owner: int  # of `promised`: to the uploads of the account that asks

    @property
    def left(self) -> int:
        return self.free - self.promised

    def check(self, needed: int, *, is_growth: bool) -> None:
        """Whether an upload of the account may be promised so much more."""
        if needed > self.left:
            raise disk_full()
        if is_growth:
            return
        to_others = self.promised - self.to_owner
        if self.to_owner and self.to_owner + needed > OWNER_SHARE * (self.free - to_others):
            raise InsufficientStorage(_OWNER_HAS_ITS_SHARE, retry_after=60)
        if self.promised and needed > RESERVATION_STEP and self.promised + needed > TOTAL_SHARE * self.free:
            raise disk_full()


def reserve(
    owner_id: int, limits: EffectiveLimits, sink: Sink, *, needed: int, wanted: int, is_growth: bool = False
) -> int:
    """How many more bytes, from `needed` to `wanted`, may come. In a transaction that holds the owner's lock.

    Growth of an upload that is being sent is not measured by the shares: it takes little at a time.
    """
    try:
        return _reserve(owner_id, limits, sink, needed, wanted, is_growth)
    except (QuotaExceeded, InsufficientStorage):
        if not release_idle():  # housekeeping may not have come to it
            raise
    return _reserve(owner_id, limits, sink, needed, wanted, is_growth)


def _reserve(owner_id: int, limits: EffectiveLimits, sink: Sink, needed: int, wanted: int, is_growth: bool) -> int:
    quota = left_of_quota(owner_id, limits)
    if quota is not None and quota < needed:
        raise QuotaExceeded(f"Your quota has {quota} bytes left. Delete files you no longer need.")
    # Locked: promises of one disk are made one by one.
    mark = SinkMark.objects.select_for_update().filter(sink=sink.name).first()
    space = _space(sink, owner_id, mark)
    if space is not None:
        space.check(needed, is_growth=is_growth)
    return min(value for value in (wanted, quota, space.left if space else None) if value is not None)


def renew_reservation(upload: Upload, limits: EffectiveLimits, sink: Sink) -> int:
    """What an upload has reserved when somebody goes on with it: if its promise has lapsed, a new one."""
    missing = (upload.declared_size or 0) - upload.reserved
    if missing > 0:
        reserve(upload.owner_id, limits, sink, needed=missing, wanted=missing)
    return max(upload.reserved, upload.declared_size or 0)


def release_idle() -> int:
    """Take back what was promised to resumable uploads that nobody has sent for a while. Answers to how many."""
    paused = Upload.objects.filter(state=Upload.State.RECEIVING, expires_at__isnull=False, heartbeat_at=None)
    overdue = paused.filter(reserved__gt=F("offset"), paused_at__lt=Now() - IDLE_TIMEOUT)
    # Of uploads of an earlier version nobody knows since when, and of others not either once the clock was set back.
    unknown = paused.filter(Q(paused_at=None) | Q(paused_at__gt=Now()))
    _change(unknown, paused_at=Now())
    return _change(overdue, reserved=F("offset"))


def _change(uploads: QuerySet[Upload], **changes: Any) -> int:
    """Not those that somebody changes at this moment: a grant, which holds other locks, must not wait for them."""
    if not uploads.exists():
        return 0
    with write():
        found = uploads.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_AT_A_TIME]
        return Upload.objects.filter(pk__in=list(found)).update(**changes)


def reserved_bytes(sink: Sink) -> int:
    """How many bytes are still to come of uploads that were told there is room for them."""
    return _sums(sink, None)[0]


def _sums(sink: Sink, owner_id: int | None) -> tuple[int, int]:
    """What is promised to all uploads, and to those of an owner."""
    left = Greatest(F("reserved") - F("offset"), 0)
    of_owner = Sum(left, filter=Q(owner=owner_id))
    found = live_uploads().filter(sink=sink.name).aggregate(total=Sum(left), of_owner=of_owner)
    return found["total"] or 0, found["of_owner"] or 0


def check_unreserved(sink: Sink, needed: int) -> None:
    """Whether the disk may take so much without a promise to anybody, beside what is promised."""
    space = _space(sink, None)
    if space is not None and space.left < needed:
        raise disk_full()


def _space(sink: Sink, owner_id: int | None, mark: SinkMark | None = None) -> _Space | None:
    # Before we look at the disk: what an upload writes in between then counts twice, not never.
    total, of_owner = _sums(sink, owner_id)
    free = above_floor(sink, mark)
    return None if free is None else _Space(free, total, of_owner)


def free_for_uploads(sink: Sink) -> int:
    """As `check_unreserved` sees it, but of a disk that need not be ours yet, and without regard to the ballast."""
    free = sink.free()
    return sys.maxsize if free is None else free - reserved_bytes(sink) - conf.limits().min_free
