"""Store a file that a job made: its bytes are durable under a key before any row names them.

The caller then creates the rows in a transaction of its own (`storage.blobs.register`), or deletes the bytes
(`storage.blobs.discard`). Until then `hooks.keys_in_use` keeps the sweep from touching them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..content.hashing import Sha256
from ..content.intake import Content
from ..sinks.base import Sink, Writer
from ..sinks.local.filesystem_layout import sink_errors
from ..sinks.local.sink import LocalSink
from ..sinks.local.writeback import WriteBack
from ..storage.stores import sink
from .disk_space import check_free

_PIECE = 1024**2


def deposit(path: Path, key: str, kind: str, media_type: str, seen: Callable[[int], object]) -> Content:
    """Hash a file and store its bytes under `key`. Calls `seen` with the size of each piece; it may raise to stop.

    Raises InsufficientStorage if the disk is at its floor.
    """
    with path.open("rb", buffering=0) as source:
        into = sink()
        check_free(into, 0)
        digest, size = _read(source, seen)
        if not _adopt(into, path, key, source):
            check_free(into, size)
            source.seek(0)
            with into.create(key, size=size) as writer:
                _copy(source, writer, seen)
    return Content(digest, size, kind, media_type)


def _adopt(into: Sink, path: Path, key: str, source: BinaryIO) -> bool:
    return isinstance(into, LocalSink) and into.adopt(path, key, source.fileno(), own=True)


def _read(source: BinaryIO, seen: Callable[[int], object]) -> tuple[str, int]:
    # Written back to the disk while it is read: one sync at the end could not be stopped, and may take a minute.
    # ffmpeg wrote the file on a descriptor that it has closed. A write-back error that was not reported there is
    # reported to the next descriptor, ours (errseq_sample, since Linux 4.17), and only to this one: every wait and
    # the sync of `adopt` use it, and each of their results is checked.
    digest, size, writeback = Sha256(), 0, WriteBack(source.fileno(), 0)
    while piece := source.read(_PIECE):
        digest.update(piece)
        size += len(piece)
        with sink_errors():
            writeback.wrote(size)
        seen(len(piece))
    with sink_errors():
        writeback.wait(size)  # before a copy reads from the disk what the page cache has dropped
    return digest.hexdigest(), size


def _copy(source: BinaryIO, writer: Writer, seen: Callable[[int], object]) -> None:
    while piece := source.read(_PIECE):
        writer.write(piece)
        seen(len(piece))
    writer.commit()
