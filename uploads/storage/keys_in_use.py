"""Which keys of a store are in use: by a Blob, an incomplete upload, or a running job."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from ..hooks import keys_in_use
from ..models import Blob, Tombstone, Upload
from ..sinks.base import Sink


def arriving(**of: Any) -> QuerySet[Upload]:
    """Return the uploads that are not complete: their bytes have no Blob yet."""
    return Upload.objects.filter(state=Upload.State.RECEIVING, **of)


def in_use(sink: Sink, keys: Collection[str]) -> set[str]:
    blobs = set(Blob.objects.filter(sink=sink.name, key__in=keys).values_list("key", flat=True))
    uploads = set(arriving(key__in=keys).values_list("key", flat=True))
    return blobs.union(uploads, *(ask(keys) for ask in keys_in_use))


def named(sink: Sink, keys: Collection[str]) -> set[str]:
    """Return the keys that are in use, or have a tombstone or a sidecar."""
    known = in_use(sink, keys)
    known |= set(Tombstone.objects.filter(sink=sink.name, key__in=keys).values_list("key", flat=True))
    rest = set(keys) - known
    return known | {name.rpartition(".")[0] for name in sink.sidecars.of(rest)} if rest else known
