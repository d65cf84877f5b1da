"""Warnings about the store, for /readyz, the dashboard and e-mail alerts."""

from collections.abc import Iterator

from ..conf import limits
from ..hooks import ServiceWarning
from ..models import Blob, SinkMark
from ..runtime.ballast_file import free_in
from ..sinks.base import Sink, SinkError
from ..storage.keys_in_use import arriving
from ..storage.stores import sink, sinks
from ..text.sizes import human_size
from .store_health import quarantine_of, trouble_of
from .sweep import warning_of

_LONGEST_CODE = 96  # in the table of alerts


def warnings() -> Iterator[ServiceWarning]:
    """Of all stores: a sweep that refused to run, a full disk, an earlier store that fails, content in quarantine."""
    for place in sinks():
        if refused := warning_of(place):
            yield ServiceWarning(_code("sweep_refused", place), refused)
    yield from _disk_space(sink())
    for place in sinks()[1:]:  # /readyz reports trouble of the first one by itself
        if why := trouble_of(place):
            text = f"The store “{place.name}”, which has earlier files, cannot be used. {why}"
            yield ServiceWarning(_code("store_unusable", place), text)
    yield from _quarantine()


def _code(kind: str, place: Sink) -> str:
    return kind if place is sink() else f"{kind}:{place.name}"[:_LONGEST_CODE]


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
    """Of the store, or of HOME if the store is not on a disk: the database and the work of jobs need space, too."""
    try:
        free = place.free()
    except SinkError:
        return  # /readyz reports a failing disk by itself
    free = free_in(limits().media_root.parent) if free is None else free
    if free < limits().warn_free:
        yield ServiceWarning(
            "disk_nearly_full",
            f"The disk is nearly full: {human_size(free)} free. Below {human_size(limits().min_free)} "
            "(MILLRACE_MIN_FREE) no upload and no job starts. Delete files, or make the disk larger.",
        )


def _quarantine() -> Iterator[ServiceWarning]:
    totals = [found for found in map(quarantine_of, sinks()) if found is not None]
    number, size = sum(number for number, _ in totals), sum(size for _, size in totals)
    if number:
        # It stays there for weeks, and nothing breaks meanwhile: not worth a daily e-mail.
        text = f"Objects in quarantine: {number} ({human_size(size)}). `manage.py quarantine` lists them."
        yield ServiceWarning("quarantine", text, mailed=False)
