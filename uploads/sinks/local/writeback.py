"""Writing to the medium steadily, while bytes still come, so that the sync at the end has little left to do.

Left alone, the system hoards gigabytes and writes them when it must: the last fdatasync takes seconds, and
everybody else's waits with it.

Linux reports a failed write-back once to each open descriptor, by whichever call asks first: an fdatasync after a
sync_file_range that failed succeeds, although bytes are missing on the medium. So every result is checked here, and
the first failure is remembered: each later call on the same WriteBack raises it again.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EINTR, EINVAL, ENOSYS, EOPNOTSUPP, ESPIPE

# The write-back of the window before the last is waited for: the disk sets the pace then, and not the memory.
WINDOW = 16 * 1024 * 1024
# Writing starts in steps of this size where somebody will wait for the end of the bytes soon. Divides WINDOW.
SMALL_STEP = 1024 * 1024
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_ALL = _WAIT_BEFORE | _WRITE | _WAIT_AFTER
_NOT_AVAILABLE = {ENOSYS, ESPIPE, EINVAL, EOPNOTSUPP}


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux has it, and Python has no name for it. Elsewhere the sync at the end does all the work."""
    if sys.platform != "linux":
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    call: Callable[[int, int, int, int], int] = function
    return call


_sync_file_range = _find_sync_file_range()


class WriteBack:
    """The way of one descriptor's bytes to the medium. Every method raises OSError once any of them got lost.

    `safe` says how many bytes from the beginning of the file were written back, and no error was reported. They
    survive a power cut after the next `sync` only: a disk may hold them in its cache.
    """

    def __init__(self, fd: int, offset: int, *, safe: int = 0, step: int = WINDOW) -> None:
        self.safe = safe
        self._fd, self._step = fd, step
        # From the beginning of a step: what comes in pieces smaller than one is pushed out, too.
        self._started = offset - offset % step
        self._waited = max(0, offset - offset % WINDOW - WINDOW)
        self._is_available = _sync_file_range is not None
        self._failure: OSError | None = None

    @property
    def has_failed(self) -> bool:
        return self._failure is not None

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def is_due(self, offset: int) -> bool:
        """Whether `wrote` has something to do when the file has come so far."""
        return self._is_available and offset - self._started >= self._step

    def wrote(self, offset: int) -> None:
        """Say how far the file has come."""
        with self._remembered():
            while self.is_due(offset):
                self._call(self._started, self._step, _WRITE)
                self._started += self._step
                if self._started - self._waited >= 2 * WINDOW:
                    self._wait_for_window()

    def wait(self, offset: int) -> None:
        """Wait until all bytes before `offset`, the end of the file, are written back."""
        with self._remembered():
            if offset == self.safe:
                return
            if self._is_available:
                self._call(self.safe, 0, _ALL)
            if not self._is_available:
                os.fdatasync(self._fd)
        self.safe = offset

    def sync(self, offset: int) -> None:
        """Make all bytes before `offset`, the end of the file, durable."""
        self.wait(offset)
        with self._remembered():
            safe, self.safe = self.safe, 0  # when the disk cannot empty its cache, nobody knows what it has
            os.fdatasync(self._fd)
            self.safe = safe

    def _wait_for_window(self) -> None:
        self._call(self._waited, WINDOW, _ALL)
        # What is on the medium need not stay in memory, where it pushes out what others need.
        with suppress(OSError):
            os.posix_fadvise(self._fd, self._waited, WINDOW, os.POSIX_FADV_DONTNEED)
        end = self._waited + WINDOW
        if self._is_available and self._waited <= self.safe < end:
            self.safe = end
        self._waited = end

    def _call(self, offset: int, size: int, flags: int) -> None:
        assert _sync_file_range is not None
        while _sync_file_range(self._fd, offset, size, flags) != 0:
            number = ctypes.get_errno()
            if number in _NOT_AVAILABLE:
                self._is_available = False
                return
            if number != EINTR:
                raise OSError(number, os.strerror(number))

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        self.check()
        try:
            yield
        except OSError as error:
            self._failure = error
            raise
