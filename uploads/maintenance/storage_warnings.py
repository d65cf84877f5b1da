"""What an administrator must know about the store: for /readyz, the dashboard and alerts by e-mail."""

from collections.abc import Iterator

from ..conf import limits
from ..hooks import ServiceWarning
from ..sinks.base import Sink, SinkError
from ..text.sizes import human_size
from .sweep import warning_of


def warnings(place: Sink) -> Iterator[ServiceWarning]:
    """Why the last sweep changed nothing, how little room is left, and what waits in quarantine. Usually nothing."""
    if refused := warning_of(place):
        yield ServiceWarning("sweep_refused", refused)
    try:
        yield from _room(place)
        yield from _quarantine(place)
    except SinkError:
        return  # that the disk does not answer is said elsewhere


def _room(place: Sink) -> Iterator[ServiceWarning]:
    free = place.free()
    if free is not None and free < limits().warn_free:
        yield ServiceWarning(
            "disk_nearly_full",
            f"The disk is nearly full: {human_size(free)} are free. Below {human_size(limits().min_free)} "
            "(MILLRACE_MIN_FREE) no upload and no job starts. Delete files, or make the disk larger.",
        )


def _quarantine(place: Sink) -> Iterator[ServiceWarning]:
    sizes = [found.size for found in place.quarantine.entries()]
    if sizes:
        # It waits there for weeks, for somebody to decide. Nothing breaks meanwhile: that is not worth a mail a day.
        words = (
            f"{len(sizes)} in quarantine ({human_size(sum(sizes))}): `manage.py quarantine` lists and purges them."
        )
        yield ServiceWarning("quarantine", words, mailed=False)
