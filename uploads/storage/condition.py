"""What an administrator must be told about the store, in sentences: for /readyz and the dashboard."""

from ..sinks.base import Sink, SinkError
from ..wording import human_size
from .sweep import warning_of


def warnings(place: Sink) -> list[str]:
    """Why the last sweep changed nothing, and what waits in quarantine. Usually nothing."""
    return [words for words in (warning_of(place), quarantine_in_words(place)) if words]


def quarantine_in_words(place: Sink) -> str:
    try:
        sizes = [found.size for found in place.quarantine.content()]
    except SinkError:
        return ""  # that the disk does not answer is said elsewhere
    if not sizes:
        return ""
    return f"{len(sizes)} in quarantine ({human_size(sum(sizes))}): `manage.py quarantine` lists and purges them."
