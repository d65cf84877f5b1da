"""The Writers of a local store.

A write that cannot be resumed goes to a file without a name, which the kernel deletes if the process dies. If the
filesystem does not support that, it goes to `ROOT/partial` like a resumable write.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ..base import SinkError, Writer
from ..crash_points import Step, reached
from ..resumable import ResumableWriter
from . import filesystem_layout
from .filesystem_layout import Layout, sink_errors, to_sink_error
from .writeback import SMALL_STEP, WINDOW, WriteBack

log = structlog.get_logger(__name__)
# Each checkpoint has this size, so that one write replaces it: a kill cannot leave half of one.
_CHECKPOINT_SIZE = 1024
# After kill -9 at most this many bytes are read and hashed again.
_CHECKPOINT_EVERY = 8 * 1024**2
# The largest block of a filesystem. A block that is written again may be lost with its earlier content.
_BLOCK = 64 * 1024


class LocalWriter(Writer):
    step = WINDOW  # of write-back

    def __init__(self, layout: Layout, key: str, fd: int, *, is_named: bool) -> None:
        self._layout, self._fd, self._is_named = layout, fd, is_named
        self.key, self.offset = key, os.fstat(fd).st_size
        self._writeback = WriteBack(fd, self.offset, step=self.step)

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        try:
            if self._writeback.failure is not None:
                raise self._writeback.failure
            while rest:
                written = os.write(self._fd, rest)
                self.offset += written
                rest = rest[written:]
        except OSError as error:
            raise to_sink_error(error) from error
        if self.offset >= self._writeback.due_at:
            with self._write_back() as back:
                back.wrote(self.offset)

    def commit(self) -> None:
        if self._fd < 0:
            return
        try:
            with sink_errors():
                self._layout.access.allow_group(self._fd)
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
            if self._is_named:
                # Before close() unlocks it: no other Writer may open a file that is about to be deleted.
                with sink_errors():
                    self._layout.unlink_partial(self.key)
        finally:
            self._release()

    def close(self) -> None:
        self.abort()

    @contextmanager
    def _write_back(self) -> Iterator[WriteBack]:
        with sink_errors():
            yield self._writeback

    def _publish(self) -> None:
        """Move or link the synced bytes to their name, and make the name durable."""
        target, partial = self._layout.path(self.key), self._layout.partial(self.key)
        self._layout.make_folder_of(self.key)
        if self._is_named:
            self._layout.checkpoint(self.key).unlink(missing_ok=True)
            partial.rename(target)
        else:
            filesystem_layout.link_anonymous(self._fd, target)
        reached(Step.LINKED)
        try:
            filesystem_layout.sync_folder(target.parent)
        except OSError:
            target.rename(partial) if self._is_named else target.unlink(missing_ok=True)
            raise
        reached(Step.DIRECTORY_SYNCED)

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class ResumableLocalWriter(LocalWriter, ResumableWriter):
    step = SMALL_STEP  # each request waits for the write-back of its bytes: it should have little left to write

    def __init__(self, layout: Layout, key: str, fd: int) -> None:
        super().__init__(layout, key, fd, is_named=True)
        self._checkpoint_fd, self._checkpoint_at = -1, self.offset

    def flush(self) -> None:
        # Now, not when the next request opens the file: an upload may pause for days, and the kernel forgets an
        # unreported error when it drops the inode of a closed file from memory.
        if self._fd < 0 or self._writeback.failure is not None:
            return
        with self._write_back() as back:
            back.wait(self.offset)

    def truncate(self, offset: int) -> None:
        with sink_errors():
            os.ftruncate(self._fd, offset)
        self.offset = offset
        safe = min(self._writeback.safe, offset)
        self._writeback = WriteBack(self._fd, offset, safe=safe, step=self.step)

    def save_checkpoint(self, text: str) -> None:
        if self._fd < 0:
            return  # after a commit a checkpoint would be left over
        with sink_errors():
            if self._checkpoint_fd < 0:
                flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
                self._checkpoint_fd = os.open(self._layout.checkpoint(self.key), flags, 0o600)
            os.pwrite(self._checkpoint_fd, text.encode().ljust(_CHECKPOINT_SIZE), 0)
        self._checkpoint_at = self.offset

    def wants_checkpoint(self, size: int) -> bool:
        return self.offset - self._checkpoint_at >= _CHECKPOINT_EVERY

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._release()

    @contextmanager
    def _write_back(self) -> Iterator[WriteBack]:
        has_failed = self._writeback.failure is not None
        try:
            with sink_errors():
                yield self._writeback
        except SinkError:
            if not has_failed:
                self._cut_off_unsafe()
            raise

    def _cut_off_unsafe(self) -> None:
        """After a failed write-back: cut the file off after the bytes that are safely on the medium.

        It is unknown which of the later pages are bad: they can be read while they are in the page cache, and a later
        sync does not report the error again. The client still has the bytes, and sends them again.
        """
        safe = self._writeback.safe - self._writeback.safe % _BLOCK
        log.error("write_back_failed", key=self.key, size=self.offset, kept=safe)
        with sink_errors():
            try:
                self._layout.checkpoint(self.key).unlink(missing_ok=True)  # it may be about bytes that are cut off
                os.ftruncate(self._fd, safe)
            except OSError:
                self._layout.unlink_partial(self.key)  # or the next request would trust these bytes
                raise
        self.offset = safe

    def _release(self) -> None:
        super()._release()
        if self._checkpoint_fd >= 0:
            os.close(self._checkpoint_fd)
        self._checkpoint_fd = -1
