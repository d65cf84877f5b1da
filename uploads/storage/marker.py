"""Which place is ours: an unmounted disk looks like an empty one, and must never be taken for it."""

from django.db import transaction

from ..errors import StorageUnavailable
from ..models import Blob, SinkMark
from ..sinks.base import Sink


def is_ours(sink: Sink) -> bool:
    mark = SinkMark.objects.filter(sink=sink.name).first()
    return mark is not None and sink.identity() == str(mark.identity)


def mark_once(sink: Sink) -> None:
    """On the first start, mark the place. Later, refuse one that is not the place our rows speak of."""
    with transaction.atomic():
        mark = SinkMark.objects.select_for_update().filter(sink=sink.name).first()
        if mark is None:
            if Blob.objects.filter(sink=sink.name).exists():
                raise StorageUnavailable("There are files in the database, and no mark of where they are kept.")
            mark = SinkMark.objects.create(sink=sink.name)
            sink.mark(str(mark.identity))
    if not is_ours(sink):
        raise StorageUnavailable(f"The {sink.name} sink is not the one this database speaks of. Is its disk mounted?")
