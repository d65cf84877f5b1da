"""Delete bytes. A tombstone is a row that allows a key to be deleted, written in the transaction of the deletion.

Two rules protect stored files: only keys with a tombstone are deleted, and not while a sidecar names them. The second
rule is for a restored older database: it can have a tombstone for a key, or lack the row, of a file that is in use.
"""

from datetime import timedelta

import structlog
from django.db.models import Q
from django.utils import timezone

from ..models import Tombstone
from ..sinks.base import Sink, SinkError
from .keys_in_use import in_use

log = structlog.get_logger(__name__)
# The chore deletes the key of a new tombstone, and again an hour later: a worker that was frozen may have stored
# bytes under a key of its attempt after the attempt was given up.
_NEW, _LAST = timedelta(minutes=2), timedelta(hours=1)
_BATCH = 500


def bury(sink: str, *keys: str) -> None:
    """Write tombstones of these keys. To be called in the transaction that deletes the last row with the key."""
    Tombstone.objects.bulk_create((Tombstone(sink=sink, key=key) for key in keys if key), ignore_conflicts=True)


def remove(sink: Sink, *keys: str) -> None:
    """Delete the bytes of keys that have tombstones. On an error the chore tries again later."""
    for key in filter(None, keys):
        try:
            if not sink.sidecars.of([key]):
                sink.delete(key)
        except SinkError:
            log.warning("bytes_not_removed_yet", key=key, exc_info=True)


def remove_buried(sink: Sink) -> int:
    """The chore: delete the bytes of new tombstones, and again of those that are an hour old."""
    now = timezone.now()
    due = Tombstone.objects.filter(Q(created_at__gt=now - _NEW) | Q(created_at__lt=now - _LAST), sink=sink.name)
    done, last = 0, 0
    while batch := list(due.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        last = batch[-1].pk
        named = in_use(sink, [tombstone.key for tombstone in batch])
        free = [tombstone for tombstone in batch if tombstone.key not in named]
        remove(sink, *(tombstone.key for tombstone in free))
        old = [tombstone.pk for tombstone in free if tombstone.created_at < now - _LAST]
        done += Tombstone.objects.filter(pk__in=old).delete()[0]
    return done
