"""Write dirty pages to the medium while an upload is in progress, so that the sync at its end is short.

Otherwise the kernel collects gigabytes of dirty pages. The final fdatasync then takes seconds, and delays the
fdatasync of all other uploads.

Linux reports a failed write-back once to each open descriptor, with the first call that checks: an fdatasync after a
failed sync_file_range succeeds although bytes are missing on the medium. So every result is checked here, and each
later call of the same WriteBack raises the first failure again.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EINTR, EINVAL, ENOSYS, EOPNOTSUPP, ESPIPE

# Before a new window begins, the write-back of the one before the last has to end: the disk limits the speed.
WINDOW = 16 * 1024 * 1024
# The step of write-back for resumable uploads, whose requests end soon. Divides WINDOW.
SMALL_STEP = 1024 * 1024
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_ALL = _WAIT_BEFORE | _WRITE | _WAIT_AFTER
_NOT_AVAILABLE = {ENOSYS, ESPIPE, EINVAL, EOPNOTSUPP}


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """The Linux call, which Python does not offer. On other systems the sync at the end writes everything."""
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
    """The write-back of one descriptor. After a failure every method raises OSError.

    `safe` is how many bytes from the beginning of the file were written back without an error. They survive a power
    cut only after the next `sync`, as the disk may hold them in its cache. `wrote` starts the next write-back when
    the file has `due_at` bytes, and does nothing before. `failure` is the first error.
    """

    def __init__(self, fd: int, offset: int, *, safe: int = 0, step: int = WINDOW) -> None:
        self.safe = safe
        self._fd, self._step = fd, step
        # From the beginning of a step, so that pieces smaller than a step are written back too.
        self._started = offset - offset % step
        self._waited = max(0, offset - offset % WINDOW - WINDOW)
        self._is_available = _sync_file_range is not None
        self.due_at = self._started + step if self._is_available else sys.maxsize
        self.failure: OSError | None = None

    def wrote(self, offset: int) -> None:
        """Report the size of the file: begin the write-back of complete steps."""
        with self._remember_failure():
            while offset >= self.due_at:
                self._call(self._started, self._step, _WRITE)
                self._started += self._step
                self.due_at = self._started + self._step if self._is_available else sys.maxsize
                if self._started - self._waited >= 2 * WINDOW:
                    self._wait_for_window()

    def wait(self, offset: int) -> None:
        """Wait until all bytes before `offset`, the end of the file, are written back."""
        with self._remember_failure():
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
        with self._remember_failure():
            safe, self.safe = self.safe, 0  # if the disk cannot flush its cache, its content is unknown
            os.fdatasync(self._fd)
            self.safe = safe

    def _wait_for_window(self) -> None:
        self._call(self._waited, WINDOW, _ALL)
        # Drop the written pages from memory, where they would displace pages that are in use.
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
    def _remember_failure(self) -> Iterator[None]:
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except OSError as error:
            self.failure = error
            raise
