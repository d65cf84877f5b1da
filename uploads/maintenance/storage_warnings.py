"""Warnings about the store, for /readyz, the dashboard and e-mail alerts."""

from collections.abc import Iterator

from ..conf import limits
from ..hooks import ServiceWarning
from ..models import Blob, SinkMark
from ..sinks.base import Sink, SinkError
from ..storage.keys_in_use import arriving
from ..storage.stores import sinks
from ..text.sizes import human_size
from .sweep import warning_of

_LONGEST_CODE = 96  # in the table of alerts


def warnings(place: Sink) -> Iterator[ServiceWarning]:
    """A sweep that refused to run, a disk that is nearly full, content in quarantine."""
    if refused := warning_of(place):
        yield ServiceWarning("sweep_refused", refused)
    try:
        yield from _disk_space(place)
        yield from _quarantine(place)
    except SinkError:
        return  # /readyz reports a failing disk by itself


def missing_stores() -> Iterator[ServiceWarning]:
    """Stores that files are in, and that are not configured."""
    # Every store that was ever used has a row: a search through all blobs would take long.
    unknown = SinkMark.objects.exclude(sink__in=[place.name for place in sinks()])
    for name in unknown.values_list("sink", flat=True):
        stored, unfinished = Blob.objects.filter(sink=name), arriving(sink=name).exclude(key="")
        if stored.exists() or unfinished.exists():
            yield ServiceWarning(
                f"store_not_configured:{name}"[:_LONGEST_CODE],
                f"The store “{name}” is not configured, but the database lists {stored.count()} contents and "
                f"{unfinished.count()} unfinished uploads in it. Set MILLRACE_OTHER_STORAGE={name} and restart all "
                "processes. `manage.py move-storage` then moves the contents to the store for new files.",
            )


def _disk_space(place: Sink) -> Iterator[ServiceWarning]:
    free = place.free()
    if free is not None and free < limits().warn_free:
        yield ServiceWarning(
            "disk_nearly_full",
            f"The disk is nearly full: {human_size(free)} free. Below {human_size(limits().min_free)} "
            "(MILLRACE_MIN_FREE) no upload and no job starts. Delete files, or make the disk larger.",
        )


def _quarantine(place: Sink) -> Iterator[ServiceWarning]:
    sizes = [found.size for found in place.quarantine.entries()]
    if sizes:
        # It stays there for weeks, and nothing breaks meanwhile: not worth a daily e-mail.
        text = f"Objects in quarantine: {len(sizes)} ({human_size(sum(sizes))}). `manage.py quarantine` lists them."
        yield ServiceWarning("quarantine", text, mailed=False)
