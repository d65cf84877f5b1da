"""A file that only takes up room. When the disk is full it is released, so that people can still cancel and delete.

On a full disk nothing can be written, and with SQLite that includes the transactions that would free room. The
ballast is released in two parts. The first half keeps the service going (heartbeats, progress, logs), and is released
as soon as the disk is nearly full. What fills the disk may take that half, too. The second half is released only
for a verb that frees room (`connections.frees_room`).

Every step may be taken by several processes at once. A released ballast stays as a shorter file: it says that there
was one, and `reserving` keeps uploads and jobs away from the room that it needs.
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
RELEASED = "The disk was full: the ballast was released so that jobs can be cancelled and files deleted."
_SHARE = 20  # it takes at most one twentieth of the disk
_BLOCK = 4096
_PIECE = 1024**2


@dataclass(frozen=True, slots=True)
class Ballast:
    path: Path
    most: int  # bytes, on a disk that is large enough; 0: none

    @property
    def size(self) -> int:
        """What it takes when it is whole."""
        if not self.most:
            return 0
        disk = os.statvfs(self.path.parent)
        return min(self.most, disk.f_blocks * disk.f_frsize // _SHARE) // _BLOCK * _BLOCK

    @property
    def held(self) -> int | None:
        """What it takes now, or None where it was never made."""
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
        """Whether so little is free that it is time to release some. Not where there is no ballast."""
        return self.held is not None and free_in(self.path.parent) < self.size // 4

    def is_on_disk_of(self, folder: Path) -> bool:
        try:
            return self.path.stat().st_dev == folder.stat().st_dev
        except FileNotFoundError:
            return False

    def reserve(self, folder: Path) -> int:
        """What uploads and jobs must leave free on the disk of `folder`, whatever MIN_FREE says."""
        return max(self.size - (self.held or 0), self.size // 4) if self.is_on_disk_of(folder) else 0

    def release(self, *, everything: bool = False) -> bool:
        """Give room back: the first half, or everything. False where that was done before, or there is none."""
        kept = 0 if everything else self.size // 2
        if (self.held or 0) <= kept:
            return False
        try:
            with self.path.open("r+b") as file:
                file.truncate(kept)
                os.fsync(file.fileno())  # ext4 gives freed blocks out only when its journal is written
        except OSError:  # a filesystem that copies on write may need room even for this
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        log.error("ballast_released", kept=kept, reason="the disk is full: make room")
        return True

    def keep(self, left_to_uploads: Callable[[], int]) -> int:
        """Release the first half of it if the disk is nearly full; make it whole if there is room for that.

        `left_to_uploads` says how many bytes they may still take. It costs a query, so it is asked only if it
        matters. Answers how much there was to do.
        """
        size, held = self.size, self.held
        if not size:
            self.path.unlink(missing_ok=True)
        elif self.is_low:
            return int(self.release())
        elif (held or 0) > self.most:  # not `size`: a ZFS dataset looks smaller while others fill its pool
            os.truncate(self.path, size)
        elif (held or 0) < size and self._has_room(left_to_uploads):
            return int(self._make())
        return 0

    def _has_room(self, left_to_uploads: Callable[[], int]) -> bool:
        """Far more than it is released at. And it must not be the reason why uploads are refused from now on."""
        return free_in(self.path.parent) >= 4 * self.size and not 0 < left_to_uploads() < 2 * self.size

    def _make(self) -> bool:
        before, size = self.held or 0, self.size
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take_room(fd, size)
        except OSError as error:
            log.warning("ballast_not_made", size=size, reason=error.strerror)
            os.ftruncate(fd, before)
            return False
        finally:
            os.close(fd)
        log.info("ballast_made", size=size)
        return True


def _take_room(fd: int, size: int) -> None:
    """Real blocks, not holes."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                raise
    if os.fstat(fd).st_blocks * 512 < size:
        # No such call, or one that keeps nothing free. Random bytes, as some filesystems compress what they store.
        for start in range(0, size, _PIECE):
            os.pwrite(fd, os.urandom(min(_PIECE, size - start)), start)
    os.fsync(fd)


def free_in(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def ballast() -> Ballast:
    return Ballast(limits().media_root.parent / "ballast", limits().ballast)
