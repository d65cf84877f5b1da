"""Delete what killed processes left of open writes in a store that keeps no record of its own, such as S3.

What belongs to an unfinished upload is left alone. What the database knows as ended or replaced is deleted after
the grace. Bytes of a key that the database does not know are kept as long as those in quarantine: they cannot be
moved there, and the database may be an older one.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from django.utils import timezone

from ..conf import limits
from ..models import Blob, DirectUpload, OpenWrite, Tombstone, Upload
from ..sinks.base import Fragment, Sink

_BATCH = 500


def delete_leftovers(place: Sink, grace: timedelta) -> int:
    deleted = 0
    for found in find_leftovers(place, grace):
        place.delete_fragment(found)
        deleted += 1
    return deleted


def find_leftovers(place: Sink, grace: timedelta) -> Iterator[Fragment]:
    now = timezone.now()
    young, kept = now - grace, now - timedelta(seconds=limits().quarantine_kept)
    old = (found for found in place.fragments() if found.begun_at < young)
    while batch := list(islice(old, _BATCH)):
        in_use, known = _in_use(place, batch), _known_keys(place, batch)
        for found in batch:
            if found.name in in_use:
                continue
            if found.key in known or found.begun_at < kept or place.is_empty_fragment(found):
                yield found


def _in_use(place: Sink, batch: list[Fragment]) -> set[str]:
    """The names of those that a record names. Read after the listing: a record is never younger than its fragment."""
    rows = OpenWrite.objects.filter(sink=place.name, key__in={found.key for found in batch})
    names = {
        name
        for key, multipart, tail in rows.values_list("key", "multipart_id", "tail")
        for name in (multipart, f"{key}.{tail}")
    }
    direct = DirectUpload.objects.filter(write_id__in={found.name for found in batch})
    return names.union(direct.values_list("write_id", flat=True))


def _known_keys(place: Sink, batch: list[Fragment]) -> set[str]:
    keys = {found.key for found in batch}
    return {
        key
        for model in (Blob, OpenWrite, Tombstone, Upload)
        for key in model.objects.filter(sink=place.name, key__in=keys).values_list("key", flat=True)
    }
