"""Which keys of a sink are somebody's: named by a row, or by an upload or a job that is still on its way."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from ..hooks import keys_in_use
from ..models import Blob, Tombstone, Upload
from ..sinks.base import Sink


def arriving(**of: Any) -> QuerySet[Upload]:
    """Resumable uploads that are not complete: their bytes have no Blob yet."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, **of)


def in_use(sink: Sink, keys: Collection[str]) -> set[str]:
    blobs = set(Blob.objects.filter(sink=sink.name, key__in=keys).values_list("key", flat=True))
    uploads = set(arriving(key__in=keys).values_list("key", flat=True))
    return blobs.union(uploads, *(ask(keys) for ask in keys_in_use))


def named(sink: Sink, keys: Collection[str]) -> set[str]:
    """Those that anything knows: in use, to be removed by a tombstone, or described by a sidecar."""
    known = in_use(sink, keys)
    known |= set(Tombstone.objects.filter(sink=sink.name, key__in=keys).values_list("key", flat=True))
    rest = set(keys) - known
    return known | {name.rpartition(".")[0] for name in sink.sidecars.of(rest)} if rest else known
