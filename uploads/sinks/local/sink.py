"""The Sink on a local disk. Besides the contract it offers its files to programs of this machine."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..base import KeyLocked, NoSuchKey, SinkError, Stored, Writer
from ..crash_points import Step, reached
from ..resumable import ResumableSink, ResumableWriter
from . import filesystem_layout
from .filesystem_layout import Access, Layout, sink_errors
from .quarantine import LocalQuarantine
from .sidecars import LocalSidecars
from .writer import LocalWriter, ResumableLocalWriter


class LocalSink(ResumableSink):
    name = "local"

    def __init__(self, root: Path, readers: int | None = None) -> None:
        """`readers` is the id of a group that may read content."""
        self.root, self.layout = root, Layout(root, Access(readers))
        self.sidecars, self.quarantine = LocalSidecars(root), LocalQuarantine(self.layout)

    def create(self, key: str, *, size: int | None = None) -> Writer:
        with sink_errors():
            if (fd := self._open_anonymous()) is not None:
                return LocalWriter(self.layout, key, fd, is_named=False)
            return LocalWriter(self.layout, key, self._create_partial(key), is_named=True)

    def create_resumable(self, key: str, *, size: int | None = None) -> ResumableWriter:
        with sink_errors():
            return ResumableLocalWriter(self.layout, key, self._create_partial(key))

    def _create_partial(self, key: str) -> int:
        filesystem_layout.make_folder(self.layout.partials)
        try:
            fd = os.open(self.layout.partial(key), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise KeyLocked(key) from None
        filesystem_layout.lock(fd, key)
        return fd

    def has_anonymous_files(self) -> bool:
        """Whether the filesystem supports files without a name. If so, an upload leaves nothing after a crash."""
        fd = self._open_anonymous()
        if fd is not None:
            os.close(fd)
        return fd is not None

    def _open_anonymous(self) -> int | None:
        return filesystem_layout.open_anonymous(self.root)

    def local_path(self, key: str) -> Path:
        """Return the path of committed bytes. It need not exist."""
        return self.layout.path(key)

    def adopt(self, source: Path, key: str, fd: int | None = None, *, own: bool = False) -> bool:
        """Commit a file of this machine without copying it, by a hard link. False if it is on another filesystem.

        `fd` is an open descriptor of `source`, with which the caller has waited for the write-back: the kernel
        reports errors to this descriptor. The mode of the file is changed only if Millrace made the file (`own`).
        """
        with sink_errors():
            if source.stat().st_dev != self.root.stat().st_dev:
                return False
            fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC) if fd is None else os.dup(fd)
            try:
                if own:
                    self.layout.access.allow_group(fd)
                filesystem_layout.sync_bytes(fd)
                reached(Step.SYNCED)
                self.layout.make_folder_of(key)
                os.link(source, self.layout.path(key))
                reached(Step.LINKED)
                filesystem_layout.sync_folder(self.layout.path(key).parent)
                reached(Step.DIRECTORY_SYNCED)
            finally:
                os.close(fd)
        return True

    def resume(self, key: str) -> ResumableWriter:
        path = self.layout.partial(key)
        with sink_errors():
            try:
                fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NoSuchKey(key) from None
            filesystem_layout.lock(fd, key)
            if os.fstat(fd).st_nlink == 0 or not path.exists():
                os.close(fd)
                raise NoSuchKey(key)  # it was committed or deleted after the open and before the lock
        writer = ResumableLocalWriter(self.layout, key, fd)
        try:
            # A killed process leaves bytes that were not waited for. Since Linux 4.17 (errseq_sample) an unreported
            # error is reported to the next process that opens the file.
            writer.flush()
        except SinkError:
            writer.close()
            raise
        return writer

    def offset(self, key: str) -> int:
        with sink_errors():
            found = filesystem_layout.size_of(self.layout.partial(key))
        if found is None:
            raise NoSuchKey(key)
        return found

    def read_checkpoint(self, key: str) -> str:
        with sink_errors():
            try:
                return self.layout.checkpoint(key).read_bytes().decode(errors="replace").strip()
            except FileNotFoundError:
                return ""

    def open_partial(self, key: str, start: int = 0) -> BinaryIO:
        return self._open(self.layout.partial(key), start)

    def open(self, key: str, start: int = 0, end: int | None = None) -> BinaryIO:
        return self._open(self.layout.path(key), start)

    def _open(self, path: Path, start: int) -> BinaryIO:
        try:
            with sink_errors():
                # Unbuffered: readers choose the size of pieces, and sendfile() uses no buffer.
                reader = path.open("rb", buffering=0)
                reader.seek(start)
                return reader
        except SinkError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NoSuchKey(path.name) from None
            raise

    def size(self, key: str) -> int | None:
        with sink_errors():
            return filesystem_layout.size_of(self.layout.path(key))

    def delete(self, key: str) -> None:
        with sink_errors():
            self.layout.path(key).unlink(missing_ok=True)
            self.layout.unlink_partial(key)

    def walk(self) -> Iterator[Stored]:
        with sink_errors():
            yield from self.layout.walk()

    def free(self) -> int | None:
        with sink_errors():
            found = os.statvfs(self.root)
            return found.f_bavail * found.f_frsize

    def is_read_only(self) -> bool:
        """Whether the mount is read-only, or the folder not writable. For root only the mount counts."""
        with sink_errors():
            return bool(os.statvfs(self.root).f_flag & os.ST_RDONLY) or not os.access(self.root, os.W_OK | os.X_OK)

    def identity(self) -> str | None:
        try:
            return self.layout.marker.read_text().strip()
        except OSError:
            return None

    def set_identity(self, identity: str) -> None:
        with sink_errors():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            half = self.layout.marker.with_suffix(".half")
            half.unlink(missing_ok=True)
            filesystem_layout.write_synced(half, f"{identity}\n".encode())
            half.rename(self.layout.marker)
            filesystem_layout.sync_folder(self.root)

    def set_own_mode(self, key: str) -> None:
        """Set the mode of an adopted file that has lost its other name."""
        with sink_errors(), suppress(FileNotFoundError):  # it was deleted meanwhile
            self.layout.access.set_own_mode(self.layout.path(key))

    def restrict(self) -> None:
        """Close the store to other accounts of this machine."""
        with sink_errors():
            self.layout.restrict()

    def is_empty(self) -> bool:
        return not self.root.is_dir() or super().is_empty()
