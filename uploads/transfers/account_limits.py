"""What an account may take: its own limits, else the most generous of its groups', else those of the settings.

Each limit by itself. They are looked up when an upload is admitted, not for each piece of it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Max, Q, QuerySet

from ..conf import finite, limits
from ..models import AccountLimits


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
