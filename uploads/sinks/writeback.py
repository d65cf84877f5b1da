"""Writing to the medium steadily, while bytes still come, so that the sync at the end has little left to do.

Left alone, the system hoards gigabytes and writes them when it must: the last fdatasync takes seconds, and
everybody else's waits with it.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable

# The steps in which a file is pushed out. The one before the last is waited for: the disk sets the pace then,
# and not the memory.
WINDOW = 16 * 1024 * 1024
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4


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
    """Keeps one file's unwritten bytes few. A failure here is no error: it comes up again at the sync."""

    def __init__(self, fd: int, offset: int) -> None:
        # From the beginning of a window: what comes in pieces smaller than one is pushed out, too.
        self._fd, self._pushed = fd, offset - offset % WINDOW

    def wrote(self, offset: int) -> None:
        """Say how far the file has come."""
        while _sync_file_range is not None and offset - self._pushed >= WINDOW:
            _sync_file_range(self._fd, self._pushed, WINDOW, _WRITE)
            if (before := self._pushed - WINDOW) >= 0:
                _sync_file_range(self._fd, before, WINDOW, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
                # What is on the medium need not stay in memory, where it pushes out what others need.
                with contextlib.suppress(OSError):
                    os.posix_fadvise(self._fd, before, WINDOW, os.POSIX_FADV_DONTNEED)
            self._pushed += WINDOW
