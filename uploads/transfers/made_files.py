"""Store a file that a job made: its bytes are durable under a key before any row names them.

The caller then creates the rows in a transaction of its own (`storage.blobs.register`), or deletes the bytes
(`withdraw`). Until then `hooks.keys_in_use` keeps the sweep from touching them.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..content.hashing import Sha256
from ..content.intake import Content
from ..runtime.database_connections import release_connection
from ..sinks.base import Sink
from ..sinks.local.filesystem_layout import sink_errors
from ..sinks.local.sink import LocalSink
from ..sinks.local.writeback import WriteBack
from ..storage.stores import sink
from ..storage.tombstones import remove
from .disk_space import check_free

_PIECE = 1024**2
_CHECK_EVERY, _TIME_TO_STOP = 0.2, 1.0  # seconds

Check = Callable[[], object]


def deposit(path: Path, key: str, kind: str, media_type: str, check: Check) -> Content:
    """Hash a file and store its bytes under `key`. Calls `check` several times a second; it may raise to stop.

    Raises InsufficientStorage if the disk is at its floor.
    """
    into = sink()
    check_free(into, 0)
    size = path.stat().st_size
    digest = _link(path, into, key, check) if isinstance(into, LocalSink) else _send(path, into, key, check)
    return Content(digest, size, kind, media_type)


def withdraw(*keys: str) -> None:
    """Delete bytes that were deposited. Only before a transaction has begun that makes rows which name them."""
    remove(sink(), *keys)


def _link(path: Path, into: LocalSink, key: str, check: Check) -> str:
    """Give the file its name in the store. On another filesystem: copy it."""
    with path.open("rb", buffering=0) as source:
        digest = Sha256()
        for piece in _pieces(source):
            digest.update(piece)
            check()
        if not into.adopt(path, key, source.fileno(), own=True):
            check_free(into, path.stat().st_size)
            source.seek(0)
            with into.create(key, size=path.stat().st_size) as writer:
                for piece in iter(lambda: source.read(_PIECE), b""):
                    writer.write(piece)
                    check()
                writer.commit()
    return digest.hexdigest()


def _send(path: Path, into: Sink, key: str, check: Check) -> str:
    """Send the file in another thread: a request may hang for longer than a cancelled job may go on."""
    sending = _Sending(path, into, key)
    try:
        while not sending.is_over.wait(_CHECK_EVERY):
            check()
    except BaseException:
        sending.stop()
        raise
    return sending.result()


class _Sending:
    """A thread that reads a file once, hashes it and writes it to a store. It aborts its write when it is stopped."""

    def __init__(self, path: Path, into: Sink, key: str) -> None:
        self._source, self._size = path.open("rb", buffering=0), path.stat().st_size
        self._into, self._key = into, key
        self._digest = Sha256()
        self._error: BaseException | None = None
        self._is_stopped = False
        self.is_over = threading.Event()
        threading.Thread(target=self._run, name="send-output", daemon=True).start()

    def stop(self) -> None:
        """Returns when it has stopped, or soon: it ends by itself, with the request that it waits for."""
        self._is_stopped = True
        self.is_over.wait(_TIME_TO_STOP)

    def result(self) -> str:
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def _run(self) -> None:
        try:
            with self._source:
                self._write()
        except BaseException as error:
            self._error = error
        finally:
            release_connection()
            self.is_over.set()

    def _write(self) -> None:
        with self._into.create(self._key, size=self._size) as writer:
            for piece in _pieces(self._source):
                if self._is_stopped:
                    return
                self._digest.update(piece)
                writer.write(piece)
            if not self._is_stopped:
                writer.commit()
        if self._is_stopped:  # during the commit: nobody else removes these bytes before the next sweep
            self._into.delete(self._key)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    """Read a file to its end, and check that all of it was written back to the disk."""
    # Written back while it is read: one sync at the end could not be stopped, and may take a minute.
    # ffmpeg wrote the file on a descriptor that it has closed. A write-back error that was not reported there is
    # reported to the next descriptor, ours (errseq_sample, since Linux 4.17), and only to this one: every wait and
    # the sync of `adopt` use it, and each of their results is checked.
    size, writeback = 0, WriteBack(source.fileno(), 0)
    while piece := source.read(_PIECE):
        size += len(piece)
        with sink_errors():
            writeback.wrote(size)
        yield piece
    with sink_errors():
        writeback.wait(size)  # before a copy reads from the disk what the page cache has dropped
