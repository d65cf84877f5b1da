"""Removing bytes. A tombstone says that a key may go, and was written with the deletion, so no crash forgets it.

Two rules protect what people were told is stored. Only a key with a tombstone is ever removed. And it stays as long
as a sidecar names it: after an older database was restored, its rows may not know a file that is safe in the store.
"""

from datetime import timedelta

import structlog
from django.db.models import Q
from django.utils import timezone

from ..models import Tombstone
from ..sinks.base import Sink, SinkError
from .keys_in_use import in_use

log = structlog.get_logger(__name__)
# A new tombstone is worked off at once. After an hour it is looked at for the last time: a worker that was frozen may
# have stored bytes under a key of its attempt after that attempt had been given up.
_NEW, _LAST = timedelta(minutes=2), timedelta(hours=1)
_BATCH = 500


def bury(sink: str, *keys: str) -> None:
    """Say that these keys may be removed. In the transaction of the change that leaves nothing to name them."""
    Tombstone.objects.bulk_create((Tombstone(sink=sink, key=key) for key in keys if key), ignore_conflicts=True)


def remove(place: Sink, *keys: str) -> None:
    """Remove the bytes of buried keys. What fails now is done by the chore, and fails nobody's request."""
    for key in filter(None, keys):
        try:
            if not place.sidecars.of([key]):
                place.delete(key)
        except SinkError:
            log.warning("bytes_not_removed_yet", key=key, exc_info=True)


def remove_buried(place: Sink) -> int:
    """The chore: remove the bytes of new tombstones, and those once more that are an hour old."""
    now = timezone.now()
    due = Tombstone.objects.filter(Q(created_at__gt=now - _NEW) | Q(created_at__lt=now - _LAST), sink=place.name)
    done, last = 0, 0
    while batch := list(due.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        last = batch[-1].pk
        named = in_use(place, [tombstone.key for tombstone in batch])
        free = [tombstone for tombstone in batch if tombstone.key not in named]
        remove(place, *(tombstone.key for tombstone in free))
        old = [tombstone.pk for tombstone in free if tombstone.created_at < now - _LAST]
        done += Tombstone.objects.filter(pk__in=old).delete()[0]
    return done
