"""Delete bytes. A tombstone is a row that allows a key to be deleted, written in the transaction of the deletion.

Two rules protect stored files: only keys with a tombstone are deleted, and not while a sidecar names them. The second
rule is for a restored older database: it can have a tombstone for a key, or lack the row, of a file that is in use.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from ..hooks import oldest_readers
from ..models import Tombstone
from ..sinks.base import Sink, SinkError
from .keys_in_use import in_use

log = structlog.get_logger(__name__)
# The chore deletes the key of a new tombstone, and again an hour later: a worker that was frozen may have stored
# bytes under a key of its attempt after the attempt was given up.
_NEW, _LAST = timedelta(minutes=2), timedelta(hours=1)
_BATCH = 500


def bury(sink: str, *keys: str, after: timedelta | None = None) -> None:
    """Write tombstones of these keys. To be called in the transaction that deletes the last row with the key.

    `after`: the bytes were moved to another store, and are kept for so long for those who read them here.
    """
    due_at = None if after is None else Now() + after
    rows = (Tombstone(sink=sink, key=key, due_at=due_at) for key in keys if key)
    Tombstone.objects.bulk_create(rows, ignore_conflicts=True)


def buried(sink: str, keys: Collection[str]) -> list[str]:
    """Those of the keys that have tombstones."""
    return list(Tombstone.objects.filter(sink=sink, key__in=keys).values_list("key", flat=True)) if keys else []


def remove(sink: Sink, *keys: str) -> None:
    """Delete the bytes of keys that have tombstones. On an error the chore tries again later."""
    for key in filter(None, keys):
        try:
            _remove(sink, key)
        except SinkError:
            log.warning("bytes_not_removed_yet", key=key, exc_info=True)


def _remove(sink: Sink, key: str) -> bool:
    """False if a sidecar names the key. Raises SinkError."""
    if sink.sidecars.of([key]):
        return False
    sink.delete(key)
    return True


def remove_buried(sink: Sink) -> int:
    """The chore: delete the bytes of new tombstones, and again of those that are an hour old."""
    now = timezone.now()
    at_once = Q(created_at__gt=now - _NEW) | Q(created_at__lt=now - _LAST)
    due = Tombstone.objects.filter(Q(at_once, due_at=None) | _read_by_nobody(), sink=sink.name)
    done, last = 0, 0
    while batch := list(due.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        last = batch[-1].pk
        named = in_use(sink, [tombstone.key for tombstone in batch])
        ended = [
            tombstone.pk
            for tombstone in batch
            if tombstone.key not in named and _carry_out(sink, tombstone, now - _LAST)
        ]
        done += Tombstone.objects.filter(pk__in=ended).delete()[0]
    return done


def _read_by_nobody() -> Q:
    """Tombstones of moved bytes whose time is over, and whose readers have ended."""
    over = Q(due_at__lte=Now())
    for began_at in filter(None, (ask() for ask in oldest_readers)):
        over &= Q(due_at__lt=began_at)
    return over


def _carry_out(sink: Sink, tombstone: Tombstone, last: datetime) -> bool:
    """Delete the bytes. Returns whether the tombstone is not needed any more."""
    try:
        is_removed = _remove(sink, tombstone.key)
    except SinkError:
        log.warning("bytes_not_removed_yet", key=tombstone.key, exc_info=True)
        return False
    # Of moved bytes, the sidecar is about to be deleted. Elsewhere it belongs to a file that this database is too old
    # to know.
    return is_removed if tombstone.due_at else tombstone.created_at < last
