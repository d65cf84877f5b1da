"""Waiting for what comes by itself, and never for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(holds: Callable[[], T], timeout: float = 30, otherwise: Callable[[], object] = str) -> T:
    """What `holds` answers as soon as it is true. `otherwise` is asked for what there is to say if it never is."""
    start = time.monotonic()
    while not (found := holds()):
        waited = time.monotonic() - start
        assert waited < timeout, f"not in {timeout} s: {otherwise()}"
        # The longer it takes, the less often: to ask a server costs the processor time that what is waited for needs.
        time.sleep(min(max(waited / 10, 0.02), 0.1))
    return found
