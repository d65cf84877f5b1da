"""How long a resumable upload is kept until its client continues it."""

from datetime import timedelta

from ...conf import limits

# A resumable upload of which no byte has arrived is kept at most this long.
EMPTY_KEPT = timedelta(hours=1)


def lifetime(offset: int) -> timedelta:
    """How long a resumable upload with this many bytes is kept until its client continues it."""
    kept = timedelta(seconds=limits().upload_expiry)
    return kept if offset else min(kept, EMPTY_KEPT)
