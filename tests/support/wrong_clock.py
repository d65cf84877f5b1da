"""A process whose clock is wrong, by libfaketime. Its monotonic clock is right, as on a real host."""

import threading
import time
from pathlib import Path
from typing import Any


def variables() -> dict[str, str] | None:
    """The environment of the process, beside FAKETIME or FAKETIME_TIMESTAMP_FILE. None: libfaketime is missing."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        return None
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def mend_sleep() -> None:
    """To be called in the process: libfaketime 0.9.10 makes time.sleep fail, which sleeps by the monotonic clock."""
    time.sleep = _sleep


def _sleep(seconds: Any, /) -> None:
    threading.Event().wait(seconds)


def remove_traces(pid: int) -> None:
    """The shared memory of a process that was killed. One that ends by itself removes it."""
    for path in Path("/dev/shm").glob(f"*faketime_*_{pid}"):  # noqa: S108  # where Linux shows it
        path.unlink(missing_ok=True)
