"""Waiting for what comes by itself, and never for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(holds: Callable[[], T], timeout: float = 30, otherwise: Callable[[], object] = str) -> T:
    """What `holds` answers as soon as it is true. `otherwise` is asked for what there is to say if it never is."""
    deadline = time.monotonic() + timeout
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not in {timeout} s: {otherwise()}"
        time.sleep(0.02)
    return found
