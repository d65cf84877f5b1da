"""The limits of an account, and how much of them it has left.

A limit that is set for the account applies first. Without one, the highest limit of its groups applies, and without
that the limit in the settings. The bytes that unfinished uploads have received or reserved count as used.
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
from ..text.sizes import exact_size

# Without a heartbeat for this long, the request that sends an upload is considered dead. Heartbeats are written every
# half second.
HOLDER_TIMEOUT = timedelta(seconds=30)
# How many unfinished resumable uploads an account may have for each upload that it may send at a time.
UNFINISHED_PER_PARALLEL = 32


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits in force for one account."""

    quota: int | None  # bytes in all; None: no limit
    max_file_size: int  # UNLIMITED: no limit
    max_uploads: int  # sent at the same time

    @property
    def largest(self) -> int | None:
        return finite(self.max_file_size)


def limits_of(owner_id: int) -> EffectiveLimits:
    """The limits in force for an account. Read when an upload is admitted, not for each piece."""
    found = list(_rows([owner_id]))
    own, groups = [row for row in found if row.user_id], [row for row in found if row.group_id]

    def in_force(name: str, default: Any) -> Any:
        for rows in (own, groups):
            if values := [value for row in rows if (value := getattr(row, name)) is not None]:
                return max(values)
        return default

    return EffectiveLimits(
        in_force("quota", limits().quota),
        in_force("max_file_size", limits().max_file_size),
        in_force("max_uploads", limits().max_uploads_per_user),
    )


def has_quota(owners: Collection[int]) -> bool:
    """Whether a quota may be in force for any of these accounts."""
    return limits().quota is not None or _rows(owners).filter(quota__isnull=False).exists()


def largest_file() -> int:
    """The largest file that any account may send. Checked before the sender is known."""
    given = AccountLimits.objects.aggregate(largest=Max("max_file_size"))["largest"]
    return max(limits().max_file_size, given or 0)


def _rows(owners: Collection[int]) -> QuerySet[AccountLimits]:
    groups = User.groups.through.objects.filter(user__in=owners).values("group")
    return AccountLimits.objects.filter(Q(user__in=owners) | Q(group__in=groups))


def sending_uploads() -> QuerySet[Upload]:
    """Uploads that a request is sending now."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, heartbeat_at__gte=Now() - HOLDER_TIMEOUT)


def live_uploads() -> QuerySet[Upload]:
    """Uploads that may still need their reservation: those being sent, and all resumable ones."""
    return Upload.objects.filter(
        Q(heartbeat_at__gte=Now() - HOLDER_TIMEOUT) | Q(expires_at__isnull=False), state=Upload.State.RECEIVING
    )


def stalled_uploads() -> QuerySet[Upload]:
    """Uploads without a recent heartbeat: the server died, or lost its connection to the database."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, heartbeat_at__lt=Now() - HOLDER_TIMEOUT)


def check_parallel(owner_id: int, max_uploads: int) -> None:
    """Refuse one more upload at the same time if the account already sends as many as it may."""
    if sending_uploads().filter(owner_id=owner_id).count() >= max_uploads:
        raise TooManyUploads(f"You already send {max_uploads} uploads. Wait until one has ended.", retry_after=10)


def check_unfinished(owner_id: int, max_uploads: int) -> None:
    """Refuse one more resumable upload if the account has too many unfinished ones, which may all be paused."""
    unfinished = Upload.objects.filter(state=Upload.State.RECEIVING, owner=owner_id, expires_at__isnull=False).count()
    if unfinished >= UNFINISHED_PER_PARALLEL * max_uploads:
        raise TooManyUploads(f"You have {unfinished} unfinished uploads. Continue or delete some of them.")


def lock_owner(owner_id: int) -> None:
    """Lock the account's row until the transaction ends, so that its limits are checked by one request at a time."""
    # no_key: an INSERT of a file with a foreign key to the owner does not have to wait.
    get_user_model().objects.select_for_update(no_key=True).values_list("pk").get(pk=owner_id)


def lock_quotas(owners: Collection[int], *, wait: bool = True) -> None:
    """Lock the quotas of these accounts until this transaction ends. Does nothing where no quota is in force.

    With wait=False it raises OperationalError instead of waiting. Use it if the caller holds another lock already: a
    transaction that holds the quotas may wait for that lock, which would be a deadlock.
    """
    if has_quota(owners):
        rows = get_user_model().objects.select_for_update(no_key=True, nowait=not wait)
        list(rows.filter(pk__in=owners).order_by("pk").values_list("pk"))


def check_size(size: int, largest: int) -> None:
    if size > largest:
        raise TooLarge(f"The file is too large: at most {exact_size(largest)} are accepted.")


def left_of_quota(owner_id: int, found: EffectiveLimits | None = None) -> int | None:
    """How many more bytes an account may store; None without a quota. `found`: its limits, if already read."""
    quota = (found or limits_of(owner_id)).quota
    if quota is None:
        return None
    taken = _of_owner(owner_id, (MediaFile.objects.all(), Sum("size")), (live_uploads(), Sum("reserved")))
    return max(0, quota - sum(taken))


def _of_owner(owner_id: int, *figures: tuple[QuerySet[Any], Sum | Count]) -> Sequence[int]:
    """Sums and counts over an owner's rows, read in one statement.

    With a statement each, an upload that completes between them would be counted in neither.
    """
    rows: list[Subquery[Any]] = [
        Subquery(found.filter(owner=OuterRef("pk")).values("owner").annotate(figure=figure).values("figure"))
        for found, figure in figures
    ]
    return [figure or 0 for figure in User.objects.values_list(*rows).get(pk=owner_id)]


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """How much of its limits an account uses."""

    limits: EffectiveLimits
    stored: int  # bytes of its files
    reserved: int  # bytes that unfinished uploads have received or reserved
    sending: int  # uploads that are being sent now
    unfinished: int  # uploads that have not ended, including paused ones

    @property
    def left(self) -> int | None:
        """Bytes left of its quota; None without a quota."""
        quota = self.limits.quota
        return None if quota is None else max(0, quota - self.stored - self.reserved)


def usage_of(owner_id: int) -> AccountUsage:
    """The limits of an account and how much of them it uses, as `me/` and the admin show them."""
    unfinished = Upload.objects.filter(state=Upload.State.RECEIVING)
    figures = _of_owner(
        owner_id, (MediaFile.objects.all(), Sum("size")), (live_uploads(), Sum("reserved")),
        (sending_uploads(), Count("pk")), (unfinished, Count("pk")),
    )  # fmt: skip
    return AccountUsage(limits_of(owner_id), *figures)
