"""Bring what children have made into the folder of their parent's attempt, to be joined."""

from functools import partial
from pathlib import Path

from uploads.sinks.base import NoSuchKey
from uploads.sinks.local.sink import LocalSink
from uploads.storage.stores import sink_named

from ..errors import ContentLost
from ..models import Job, ScratchBlob
from ..operations.divisible import DonePart
from .fetch import Source
from .inputs import Inputs


def bring(child: Job, folder: Path, inputs: Inputs) -> DonePart | None:
    """Return the outputs of a child. None if the store has lost one of them."""
    files = {}
    for blob in child.scratch.all():
        path = folder / f"part{child.number}.{blob.name}"
        try:
            path.symlink_to(_path_of(blob, inputs))
        except (NoSuchKey, ContentLost):
            return None
        files[blob.name] = path
    return DonePart(child.part or {}, files)


def _path_of(blob: ScratchBlob, inputs: Inputs) -> Path:
    """Raises NoSuchKey or ContentLost if the bytes are not what they were."""
    found = sink_named(blob.sink)
    if found.size(blob.key) != blob.size:
        raise NoSuchKey(blob.key)
    if isinstance(found, LocalSink):
        return found.local_path(blob.key)
    return inputs.fetched(Source(blob.name, blob.sha256, blob.size, partial(found.open, blob.key)))
