"""What an account may take."""

from dataclasses import dataclass

from .conf import limits


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits in force for one account."""

    quota: int | None  # bytes in all; None: no limit
    max_file_size: int
    max_uploads: int  # sent at a time


def limits_of(owner_id: int) -> EffectiveLimits:
    return EffectiveLimits(limits().quota, limits().max_file_size, limits().max_uploads_per_user)
