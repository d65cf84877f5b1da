"""Which stores are configured: the one for new bytes, and those that still have earlier ones."""

from functools import cache
from pathlib import Path

from ..conf import limits
from ..errors import UnsupportedRequest
from ..sinks.base import Sink, SinkError
from ..sinks.local.sink import LocalSink
from ..sinks.resumable import ResumableSink


def sink() -> Sink:
    """The store that new bytes go to."""
    return _local_sink(limits().media_root, limits().media_group)


def sinks() -> tuple[Sink, ...]:
    """All stores, the one for new bytes first."""
    return sink(), *limits().other_sinks


def sink_named(name: str) -> Sink:
    """The store that a row names: the only way to bytes that exist. Raises SinkError if it is not configured."""
    for found in sinks():
        if found.name == name:
            return found
    raise SinkError(f"The store “{name}” is not configured.")


def resumable_sink() -> ResumableSink:
    """The store that the bytes of resumable uploads go to."""
    found = sink()
    if not isinstance(found, ResumableSink):
        raise UnsupportedRequest("This server takes no resumable uploads. Send the file in one request.")
    return found


@cache
def _local_sink(root: Path, readers: int | None) -> Sink:
    return LocalSink(root, readers)
