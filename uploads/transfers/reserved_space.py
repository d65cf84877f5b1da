"""Room that is kept on the disk for uploads whose bytes are still to come.

An upload is promised room for all it has announced before its first byte comes. Every promise is made under the lock
of the sink's row, so that two uploads never get the same last gigabyte.

A promise costs its client nothing, so it is limited: promises to one account leave room for the others, all of them
leave some for small uploads, and that of a resumable upload that nobody sends lapses. A lapse is written into the row
(`reserved` goes down to the bytes that are here): whatever the clock does, no other upload gets the room of one that
still counts on it. The upload stays, and its next request reserves again.
"""

import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Greatest, Now

from .. import conf
from ..errors import InsufficientStorage, QuotaExceeded
from ..models import SinkMark, Upload
from ..runtime.database_connections import write
from ..sinks.base import Sink
from .account_limits import EffectiveLimits
from .quota import above_floor, left_of_quota, live_uploads, no_room

# An upload that cannot say its size is promised so much at a time. One this small may always have what is left.
STEP = 256 * 1024**2
# So long a resumable upload that nobody sends keeps its promise.
PROMISE_KEPT = timedelta(minutes=5)
# Several uploads of one account get at most this share of the room that the others have not been promised.
OWNER_SHARE = 1 / 2
# All promises together take at most this share of the room. The rest is for small uploads.
TOTAL_SHARE = 7 / 8
_AT_A_TIME = 1000
_OWNER_HAS_ITS_SHARE = (
    "Your unfinished uploads have reserved as much of the server's disk as one account may."
    " Finish or delete some of them, or try again later."
)


@dataclass(frozen=True, slots=True)
class _Room:
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
            raise no_room()
        if is_growth:
            return
        to_others = self.promised - self.to_owner
        if self.to_owner and self.to_owner + needed > OWNER_SHARE * (self.free - to_others):
            raise InsufficientStorage(_OWNER_HAS_ITS_SHARE, retry_after=60)
        if self.promised and needed > STEP and self.promised + needed > TOTAL_SHARE * self.free:
            raise no_room()


def grant(
    owner: User, limits: EffectiveLimits, sink: Sink, *, needed: int, wanted: int, is_growth: bool = False
) -> int:
    """How many more bytes, from `needed` to `wanted`, may come. In a transaction that holds the owner's lock.

    Growth of an upload that is being sent is not measured by the shares: it takes little at a time.
    """
    try:
        return _grant(owner, limits, sink, needed, wanted, is_growth)
    except (QuotaExceeded, InsufficientStorage):
        if not lapse():  # housekeeping may not have come to it
            raise
    return _grant(owner, limits, sink, needed, wanted, is_growth)


def _grant(owner: User, limits: EffectiveLimits, sink: Sink, needed: int, wanted: int, is_growth: bool) -> int:
    quota = left_of_quota(owner.pk, limits)
    if quota is not None and quota < needed:
        raise QuotaExceeded(f"Your quota has {quota} bytes left. Delete files you no longer need.")
    # Locked: promises of one disk are made one by one.
    mark = SinkMark.objects.select_for_update().filter(sink=sink.name).first()
    room = _room(sink, owner, mark)
    if room is not None:
        room.check(needed, is_growth=is_growth)
    return min(value for value in (wanted, quota, room.left if room else None) if value is not None)


def renew(upload: Upload, limits: EffectiveLimits, sink: Sink) -> int:
    """What an upload has reserved when somebody goes on with it: if its promise has lapsed, a new one."""
    missing = (upload.declared_size or 0) - upload.reserved
    if missing > 0:
        grant(upload.owner, limits, sink, needed=missing, wanted=missing)
    return max(upload.reserved, upload.declared_size or 0)


def lapse() -> int:
    """Take back what was promised to resumable uploads that nobody has sent for a while. Answers to how many."""
    paused = Upload.objects.filter(state=Upload.State.RECEIVING, expires_at__isnull=False, heartbeat_at=None)
    overdue = paused.filter(reserved__gt=F("offset"), paused_at__lt=Now() - PROMISE_KEPT)
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


def promised(sink: Sink) -> int:
    """How many bytes are still to come of uploads that were told there is room for them."""
    return _sums(sink, None)[0]


def _sums(sink: Sink, owner: User | None) -> tuple[int, int]:
    """What is promised to all uploads, and to those of an owner."""
    left = Greatest(F("reserved") - F("offset"), 0)
    of_owner = Sum(left, filter=Q(owner=owner))
    found = live_uploads().filter(sink=sink.name).aggregate(total=Sum(left), of_owner=of_owner)
    return found["total"] or 0, found["of_owner"] or 0


def check_room(sink: Sink, needed: int) -> None:
    """Whether the disk may take so much without a promise to anybody, beside what is promised."""
    room = _room(sink, None)
    if room is not None and room.left < needed:
        raise no_room()


def _room(sink: Sink, owner: User | None, mark: SinkMark | None = None) -> _Room | None:
    # Before we look at the disk: what an upload writes in between then counts twice, not never.
    total, of_owner = _sums(sink, owner)
    free = above_floor(sink, mark)
    return None if free is None else _Room(free, total, of_owner)


def left_to_uploads(sink: Sink) -> int:
    """As `check_room` sees it, but of a disk that need not be ours yet, and without regard to the ballast."""
    free = sink.free()
    return sys.maxsize if free is None else free - promised(sink) - conf.limits().min_free
