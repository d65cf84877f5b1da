"""End a process when its parent ends, even if the parent is killed with SIGKILL."""

import ctypes
import os
import signal
import sys
import threading
import time

# The environment variable in which a parent passes its pid to a child.
PARENT = "LIFELINE_PARENT"
_PR_SET_PDEATHSIG = 1
_POLL = 1.0


def end_with_parent(parent: int | None = None) -> None:
    """From now on, kill this process when its parent ends. Nothing is stored of an upload that this interrupts.

    `parent` is the pid of the process that started this one. If it has ended already, os.getppid() is another.
    """
    parent = parent or int(os.environ.get(PARENT, 0)) or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call of prctl
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGKILL)
