"""How long an operation goes on trying while a store in the network cannot be reached.

Bytes that a client has sent are worth waiting for. A chore that runs again soon, or a deletion that a chore finishes
later, should not wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LONG = 45.0  # seconds; an outage of half a minute must not fail an upload
_patience = ContextVar("patience", default=_LONG)


def patience() -> float:
    """Seconds. Of this thread."""
    return _patience.get()


@contextmanager
def patience_of(seconds: float) -> Iterator[None]:
    before = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(before)
