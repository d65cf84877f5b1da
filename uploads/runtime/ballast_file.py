"""The ballast: a file that reserves disk space. It is released when the disk is full, so that users can still delete.

On a full disk nothing can be written, and with SQLite that includes the transactions that would free space. The
ballast is released in two halves. The first half is released when the disk is nearly full, and keeps the service
running (heartbeats, progress, logs); other programs may use it up. The second half is released only for a function
that frees space (`database_connections.frees_space`).

Several processes may call each method at the same time. A released ballast remains as a shorter file. Uploads and
jobs do not use the space that this file needs to grow to its full size again (`reserve`).
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from ..conf import limits

log = structlog.get_logger(__name__)
RELEASED = "The disk was full: the ballast was released, so that jobs can be cancelled and files deleted."
_SHARE = 20  # the ballast takes at most a twentieth of the disk
_BLOCK = 4096
_PIECE = 1024**2


@dataclass(frozen=True, slots=True)
class Ballast:
    path: Path
    most: int  # maximum size in bytes; 0: no ballast

    @property
    def size(self) -> int:
        """The size of the complete ballast: less than `most` on a small disk."""
        if not self.most:
            return 0
        disk = os.statvfs(self.path.parent)
        return min(self.most, disk.f_blocks * disk.f_frsize // _SHARE) // _BLOCK * _BLOCK

    @property
    def held(self) -> int | None:
        """The current size, or None if it was never made."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return None

    @property
    def is_released(self) -> bool:
        held = self.held
        return held is not None and held < self.size

    @property
    def is_low(self) -> bool:
        """Whether the disk is so full that the ballast has to be released."""
        return self.held is not None and free_in(self.path.parent) < self.size // 4

    def is_on_disk_of(self, folder: Path) -> bool:
        try:
            return self.path.stat().st_dev == folder.stat().st_dev
        except FileNotFoundError:
            return False

    def reserve(self, folder: Path) -> int:
        """Return how much uploads and jobs must leave free on the disk of `folder`, besides MIN_FREE."""
        return max(self.size - (self.held or 0), self.size // 4) if self.is_on_disk_of(folder) else 0

    def release(self, *, everything: bool = False) -> bool:
        """Free the first half, or everything. False if that was done before, or there is no ballast."""
        kept = 0 if everything else self.size // 2
        if (self.held or 0) <= kept:
            return False
        try:
            with self.path.open("r+b") as file:
                file.truncate(kept)
                os.fsync(file.fileno())  # ext4 frees the blocks only when its journal is written
        except OSError:  # a copy-on-write filesystem may need space even for this
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        log.error("ballast_released", kept=kept, reason="the disk is full: free some space")
        return True

    def keep(self, left_to_uploads: Callable[[], int]) -> int:
        """The chore: release the first half if the disk is nearly full, or restore the file if there is enough space.

        `left_to_uploads` returns how many bytes uploads may still take. It needs a query, so it is called only if
        needed. Returns 1 if the file was changed.
        """
        size, held = self.size, self.held
        if not size:
            self.path.unlink(missing_ok=True)
        elif self.is_low:
            return int(self.release())
        elif (held or 0) > self.most:  # not `size`: the size of a ZFS dataset shrinks while others fill its pool
            os.truncate(self.path, size)
        elif (held or 0) < size and self._has_space(left_to_uploads):
            return int(self._make())
        return 0

    def _has_space(self, left_to_uploads: Callable[[], int]) -> bool:
        """Whether far more is free than when the ballast is released, and uploads would still be accepted."""
        return free_in(self.path.parent) >= 4 * self.size and not 0 < left_to_uploads() < 2 * self.size

    def _make(self) -> bool:
        before, size = self.held or 0, self.size
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(fd, size)
        except OSError as error:
            log.warning("ballast_not_made", size=size, reason=error.strerror)
            os.ftruncate(fd, before)
            return False
        finally:
            os.close(fd)
        log.info("ballast_made", size=size)
        return True


def _allocate(fd: int, size: int) -> None:
    """Allocate the blocks of a file. Holes would reserve nothing."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                raise
    if os.fstat(fd).st_blocks * 512 < size:
        # The call is missing, or did not allocate. Write random bytes: some filesystems compress.
        for start in range(0, size, _PIECE):
            os.pwrite(fd, os.urandom(min(_PIECE, size - start)), start)
    os.fsync(fd)


def free_in(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def ballast() -> Ballast:
    return Ballast(limits().media_root.parent / "ballast", limits().ballast)
