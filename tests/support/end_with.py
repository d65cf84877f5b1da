"""`python -m tests.support.end_with OTHER PID`: kill a process when another one has ended, however it ended.

A test run that is interrupted ends its own processes only. A server that all of them share would stay.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def main(other: int, pid: int) -> None:
    while _is_alive(other) and _is_alive(pid):
        time.sleep(1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
