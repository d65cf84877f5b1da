"""Warnings about the store, for /readyz, the dashboard and e-mail alerts."""

from collections.abc import Iterator

from ..conf import limits
from ..hooks import ServiceWarning
from ..sinks.base import Sink, SinkError
from ..text.sizes import human_size
from .sweep import warning_of


def warnings(place: Sink) -> Iterator[ServiceWarning]:
    """A sweep that refused to run, a disk that is nearly full, content in quarantine."""
    if refused := warning_of(place):
        yield ServiceWarning("sweep_refused", refused)
    try:
        yield from _disk_space(place)
        yield from _quarantine(place)
    except SinkError:
        return  # /readyz reports a failing disk by itself


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
