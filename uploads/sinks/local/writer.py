"""One open write on a local disk.

A one-shot write has no name until it is whole: it goes to an anonymous file, which the kernel removes with the
process that held it. Where the filesystem has none, it is a partial like any other.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ..base import SinkError, Writer
from ..crash_points import Step, reached
from . import filesystem
from .filesystem import Layout, sink_errors
from .writeback import SMALL_STEP, WINDOW, WriteBack

log = structlog.get_logger(__name__)
# A note is as long as the longest, always: it is replaced by one write, which no kill can cut in two.
_NOTE_SIZE = 1024
# The largest block of a filesystem. One to which bytes were added may be lost with what it held before.
_BLOCK = 64 * 1024


class LocalWriter(Writer):
    def __init__(self, layout: Layout, key: str, fd: int, *, named: bool, resumable: bool) -> None:
        self._layout, self._fd, self._named, self.resumable = layout, fd, named, resumable
        self.key, self.offset = key, os.fstat(fd).st_size
        self._writeback = WriteBack(fd, self.offset, step=self._step)
        self._note_fd = -1

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        with sink_errors():
            self._writeback.check()
            while rest:
                written = os.write(self._fd, rest)
                self.offset += written
                rest = rest[written:]
        if self._writeback.is_due(self.offset):
            with self._write_back() as back:
                back.wrote(self.offset)

    def flush(self) -> None:
        # Not left to the next turn's descriptor: the kernel forgets an error that nobody was told of when it drops
        # the inode of a closed file from memory, and an upload may pause for days.
        with self._write_back() as back:
            back.wait(self.offset)

    def cut(self, offset: int) -> None:
        with sink_errors():
            os.ftruncate(self._fd, offset)
        self.offset = offset
        safe = min(self._writeback.safe, offset)
        self._writeback = WriteBack(self._fd, offset, safe=safe, step=self._step)

    def note(self, text: str) -> None:
        if self._fd < 0:
            return  # the bytes may have been committed: a note would be left over
        with sink_errors():
            if self._note_fd < 0:
                flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
                self._note_fd = os.open(self._layout.note(self.key), flags, 0o600)
            os.pwrite(self._note_fd, text.encode().ljust(_NOTE_SIZE), 0)

    def commit(self) -> None:
        if self._fd < 0:
            return
        try:
            with sink_errors():
                self._layout.access.let_in(self._fd)
            with self._write_back() as back:
                back.sync(self.offset)
            with sink_errors():
                reached(Step.SYNCED)
                self._publish()
        except SinkError:
            self.close()
            raise
        self._release()

    def abort(self) -> None:
        if self._fd < 0:
            return
        try:
            if self._named:
                # Before the lock goes with the descriptor: nobody may begin to use what is about to vanish.
                with sink_errors():
                    self._layout.unlink_partial(self.key)
        finally:
            self._release()

    def close(self) -> None:
        if not self.resumable:
            self.abort()
        try:
            if self._fd >= 0 and not self._writeback.has_failed:
                self.flush()
        finally:
            self._release()

    @property
    def _step(self) -> int:
        # The end of each request's bytes is waited for: most of them should be on their way by then.
        return SMALL_STEP if self.resumable else WINDOW

    @contextmanager
    def _write_back(self) -> Iterator[WriteBack]:
        has_failed = self._writeback.has_failed
        try:
            with sink_errors():
                yield self._writeback
        except SinkError:
            if self.resumable and not has_failed:
                self._take_back()
            raise

    def _take_back(self) -> None:
        """Bytes got lost on their way to the medium: of a resumable write only those stay that are surely there.

        Nobody can say which pages are bad. They look sound until memory drops them, and no later sync reports them
        again. The client still has the bytes, so it sends them again from where they are cut off.
        """
        safe = self._writeback.safe - self._writeback.safe % _BLOCK
        log.error("write_back_failed", key=self.key, size=self.offset, kept=safe)
        with sink_errors():
            try:
                self._layout.note(self.key).unlink(missing_ok=True)  # it may describe bytes that are cut off
                os.ftruncate(self._fd, safe)
            except OSError:
                self._layout.unlink_partial(self.key)  # else the next turn would trust what is there
                raise
        self.offset = safe

    def _publish(self) -> None:
        """Give synced bytes their name, and make the name durable."""
        target, partial = self._layout.path(self.key), self._layout.partial(self.key)
        self._layout.make_folder_of(self.key)
        if self._named:
            self._layout.note(self.key).unlink(missing_ok=True)
            partial.rename(target)
        else:
            filesystem.link_anonymous(self._fd, target)
        reached(Step.LINKED)
        try:
            filesystem.sync_folder(target.parent)
        except OSError:
            target.rename(partial) if self._named else target.unlink(missing_ok=True)
            raise
        reached(Step.DIRECTORY_SYNCED)

    def _release(self) -> None:
        for fd in (self._fd, self._note_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._note_fd = -1
