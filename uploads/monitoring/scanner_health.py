"""Whether the virus scanner answers. While it does not, every upload is refused."""

import threading
import time
from collections.abc import Iterator

from ..conf import limits
from ..hooks import ServiceWarning

# Several pages ask for warnings, and a scanner that hangs takes two seconds of each.
_KEPT = 5.0
_lock = threading.Lock()
_last: tuple[float, str] = (float("-inf"), "")


def problem() -> str:
    """Why the configured scanner cannot be used; "" if it answers, or if none is configured."""
    global _last
    clamd = limits().clamd
    if clamd is None:
        return ""
    with _lock:
        if time.monotonic() - _last[0] > _KEPT:
            _last = (time.monotonic(), clamd.problem())
        return _last[1]


def warnings() -> Iterator[ServiceWarning]:
    if reason := problem():
        text = f"The virus scanner (MILLRACE_CLAMD) does not answer: {reason}. Uploads are refused until it does."
        yield ServiceWarning("scanner_unavailable", text)
