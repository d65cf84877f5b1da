"""Bring what children have made into the folder of their parent's attempt, to be joined."""

from collections.abc import Callable
from pathlib import Path

from uploads.sinks.base import NoSuchKey
from uploads.sinks.local.sink import LocalSink
from uploads.storage.stores import sink_named

from ..models import Job, ScratchBlob
from ..operations.divisible import DonePart

_PIECE = 1024**2


def fetch(child: Job, folder: Path, check: Callable[[], None]) -> DonePart | None:
    """Return the outputs of a child. None if the store has lost one of them."""
    files = {}
    for blob in child.scratch.all():
        path = folder / f"part{child.number}.{blob.name}"
        if not _bring(blob, path, check):
            return None
        files[blob.name] = path
    return DonePart(child.part or {}, files) if files else None


def _bring(blob: ScratchBlob, path: Path, check: Callable[[], None]) -> bool:
    found = sink_named(blob.sink)
    if found.size(blob.key) != blob.size:
        return False
    if isinstance(found, LocalSink):
        path.symlink_to(found.local_path(blob.key))
        return True
    try:
        with found.open(blob.key) as source, path.open("wb") as target:
            while piece := source.read(_PIECE):
                target.write(piece)
                check()
    except NoSuchKey:
        return False
    return path.stat().st_size == blob.size
