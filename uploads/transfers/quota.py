"""What an account has left of its limits, and what the disk has left above its floor.

A quota is a ledger: what unfinished uploads have brought or were promised (`promises`) counts as taken.
"""

import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Now

from ..conf import limits
from ..errors import InsufficientStorage, StorageUnavailable, TooLarge, TooManyUploads
from ..models import MediaFile, SinkMark, Upload
from ..runtime.ballast_file import ballast, free_in
from ..sinks.base import Sink, SinkError
from ..storage.marker import is_ours
from .account_limits import EffectiveLimits, has_quota, limits_of

# An upload whose holder has not been heard of for this long has none: flushing tries every half second.
HOLDER_TIMEOUT = timedelta(seconds=30)
# So many unfinished resumable uploads an account may have, for each that it may send at a time.
UNFINISHED = 32
# When the disk comes to its floor, works in progress stop one after another, within so many seconds.
SPREAD = 3.0


def moving_uploads() -> QuerySet[Upload]:
    """Those that somebody is sending just now."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, heartbeat_at__gte=Now() - HOLDER_TIMEOUT)


def live_uploads() -> QuerySet[Upload]:
    """Those that may still need what they were promised: moving, or resumable."""
    return Upload.objects.filter(
        Q(heartbeat_at__gte=Now() - HOLDER_TIMEOUT) | Q(expires_at__isnull=False), state=Upload.State.RECEIVING
    )


def stalled_uploads() -> QuerySet[Upload]:
    """Those whose holder has not been heard of: it has died, or was cut off from the database."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, heartbeat_at__lt=Now() - HOLDER_TIMEOUT)


def check_turn(owner_id: int, max_uploads: int) -> None:
    """Whether the owner may send one more upload at a time."""
    if moving_uploads().filter(owner_id=owner_id).count() >= max_uploads:
        raise TooManyUploads(f"{max_uploads} uploads of yours are on their way. Wait for one to end.", retry_after=10)


def check_unfinished(owner: User, max_uploads: int) -> None:
    """Whether the owner may begin one more resumable upload. They outlive their requests, so they are counted too."""
    unfinished = Upload.objects.filter(state=Upload.State.RECEIVING, owner=owner, expires_at__isnull=False).count()
    if unfinished >= UNFINISHED * max_uploads:
        raise TooManyUploads(f"{unfinished} uploads of yours are unfinished. Go on with some, or delete them.")


def lock_owner(owner_id: int) -> None:
    # no_key: inserting a file that points at the owner does not have to wait.
    get_user_model().objects.select_for_update(no_key=True).values_list("pk").get(pk=owner_id)


def lock_quotas(owners: Collection[int], *, wait: bool = True) -> None:
    """Let nobody else decide what is left of them until this transaction ends. Nothing to lock, without a quota.

    Not to `wait` is for those who hold what others under these locks may wait for: an OperationalError, then.
    """
    if has_quota(owners):
        rows = get_user_model().objects.select_for_update(no_key=True, nowait=not wait)
        list(rows.filter(pk__in=owners).order_by("pk").values_list("pk"))


def check_size(size: int, largest: int) -> None:
    if size > largest:
        raise TooLarge(f"A file may have {largest} bytes; this has more.")


def left_of_quota(owner_id: int, found: EffectiveLimits | None = None) -> int | None:
    """How many bytes more an account may have; None without a quota. `found`: its limits, if they are known."""
    quota = (found or limits_of(owner_id)).quota
    if quota is None:
        return None
    taken = _of_owner(owner_id, (MediaFile.objects.all(), Sum("size")), (live_uploads(), Sum("reserved")))
    return max(0, quota - sum(taken))


def _of_owner(owner_id: int, *figures: tuple[QuerySet[Any], Sum | Count]) -> Sequence[int]:
    """Figures of an owner's rows, in one statement, so of one moment: an upload that completed between two of them
    would count in neither.
    """
    rows: list[Subquery[Any]] = [
        Subquery(found.filter(owner=OuterRef("pk")).values("owner").annotate(figure=figure).values("figure"))
        for found, figure in figures
    ]
    return [figure or 0 for figure in User.objects.values_list(*rows).get(pk=owner_id)]


@dataclass(frozen=True, slots=True)
class AccountUse:
    """How much of its limits an account has taken."""

    limits: EffectiveLimits
    stored: int  # bytes of its files
    reserved: int  # bytes that unfinished uploads have brought, or have been promised room for
    sending: int  # uploads that are being sent just now
    unfinished: int  # uploads that have not ended, paused ones too

    @property
    def left(self) -> int | None:
        """Bytes that its quota has left; None without a quota."""
        quota = self.limits.quota
        return None if quota is None else max(0, quota - self.stored - self.reserved)


def use_of(owner_id: int) -> AccountUse:
    """The limits in force for an account, and how much of them it has taken: what `me/` and the admin show."""
    unfinished = Upload.objects.filter(state=Upload.State.RECEIVING)
    figures = _of_owner(
        owner_id, (MediaFile.objects.all(), Sum("size")), (live_uploads(), Sum("reserved")),
        (moving_uploads(), Count("pk")), (unfinished, Count("pk")),
    )  # fmt: skip
    return AccountUse(limits_of(owner_id), *figures)


def check_free(sink: Sink, needed: int) -> int | None:
    """How many bytes the disk has above its floor; they must be `needed` at least.

    For jobs, which really take what they ask for: they do not wait for room that uploads have only been promised.
    """
    left = above_floor(sink)
    if left is not None and left < needed:
        raise no_room()
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


def no_room() -> InsufficientStorage:
    return InsufficientStorage("The server's disk has no room for this. Try again later.", retry_after=60)


def _free(sink: Sink) -> int | None:
    try:
        return sink.free()
    except SinkError as error:
        raise StorageUnavailable("The server's disk does not answer. Try again later.") from error


def floor() -> int:
    """What uploads and jobs leave free: MIN_FREE, or what the ballast needs."""
    return max(limits().min_free, ballast().reserve(limits().media_root))


def check_floor(sink: Sink, folder: Path) -> None:
    """Whether work may go on writing to both. No query, as it is asked each second."""
    free = [_free(sink), free_in(folder) if folder.exists() else None]
    if any(left is not None and left < floor() for left in free):
        raise no_room()


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
