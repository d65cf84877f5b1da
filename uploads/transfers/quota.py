"""The limits of an account, and how much of them it has left.

Each limit of an account is its own, else the most generous of its groups', else that of the settings.
What unfinished uploads have brought or reserved counts as taken.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Now

from ..conf import finite, limits
from ..errors import TooLarge, TooManyUploads
from ..models import AccountLimits, MediaFile, Upload

# An upload whose holder has not been heard of for this long has none: flushing tries every half second.
HOLDER_TIMEOUT = timedelta(seconds=30)
# So many unfinished resumable uploads an account may have, for each that it may send at a time.
UNFINISHED = 32


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits in force for one account."""

    quota: int | None  # bytes in all; None: no limit
    max_file_size: int  # UNLIMITED: no limit
    max_uploads: int  # sent at a time

    @property
    def largest(self) -> int | None:
        return finite(self.max_file_size)


def limits_of(owner_id: int) -> EffectiveLimits:
    found = list(_rows([owner_id]))
    own, of_groups = [row for row in found if row.user_id], [row for row in found if row.group_id]

    def in_force(name: str, of_settings: Any) -> Any:
        for rows in (own, of_groups):
            if said := [value for row in rows if (value := getattr(row, name)) is not None]:
                return max(said)
        return of_settings

    return EffectiveLimits(
        in_force("quota", limits().quota),
        in_force("max_file_size", limits().max_file_size),
        in_force("max_uploads", limits().max_uploads_per_user),
    )


def has_quota(owners: Collection[int]) -> bool:
    """Whether a quota may be in force for any of these accounts."""
    return limits().quota is not None or _rows(owners).filter(quota__isnull=False).exists()


def largest_file() -> int:
    """What no file may pass, whoever sends it: for who looks before it is known who that is."""
    given = AccountLimits.objects.aggregate(largest=Max("max_file_size"))["largest"]
    return max(limits().max_file_size, given or 0)


def _rows(owners: Collection[int]) -> QuerySet[AccountLimits]:
    groups = User.groups.through.objects.filter(user__in=owners).values("group")
    return AccountLimits.objects.filter(Q(user__in=owners) | Q(group__in=groups))


def sending_uploads() -> QuerySet[Upload]:
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


def check_parallel(owner_id: int, max_uploads: int) -> None:
    """Whether the owner may send one more upload at a time."""
    if sending_uploads().filter(owner_id=owner_id).count() >= max_uploads:
        raise TooManyUploads(f"{max_uploads} uploads of yours are on their way. Wait for one to end.", retry_after=10)


def check_unfinished(owner_id: int, max_uploads: int) -> None:
    """Whether the owner may begin one more resumable upload. They outlive their requests, so they are counted too."""
    unfinished = Upload.objects.filter(state=Upload.State.RECEIVING, owner=owner_id, expires_at__isnull=False).count()
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
class AccountUsage:
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


def usage_of(owner_id: int) -> AccountUsage:
    """The limits in force for an account, and how much of them it has taken: what `me/` and the admin show."""
    unfinished = Upload.objects.filter(state=Upload.State.RECEIVING)
    figures = _of_owner(
        owner_id, (MediaFile.objects.all(), Sum("size")), (live_uploads(), Sum("reserved")),
        (sending_uploads(), Count("pk")), (unfinished, Count("pk")),
    )  # fmt: skip
    return AccountUsage(limits_of(owner_id), *figures)
