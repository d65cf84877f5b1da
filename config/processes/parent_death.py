"""A child that must not outlive its parent, even one killed with -9, calls `hold` when it starts."""

import ctypes
import os
import signal
import sys
import threading
import time

# Set for a child by whoever starts it and must not be outlived.
PARENT = "LIFELINE_PARENT"
_PR_SET_PDEATHSIG = 1
_POLL = 1.0


def hold(parent: int | None = None) -> None:
    """From now on this process dies with its parent. What it was receiving was never anybody's file yet.

    `parent` is the one it was started by, which may have died before this: os.getppid() then names another.
    """
    parent = parent or int(os.environ.get(PARENT, 0)) or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGKILL)
