"""How slow an upload may be: MILLRACE_UPLOAD_TIMEOUT for all of it, MILLRACE_MIN_RATE for each ten seconds."""

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import TooSlow
from ..text.sizes import human_size

# Seconds over which the rate is measured: short pauses are allowed.
RATE_WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow a client may be. None: no limit."""

    timeout: float | None = None  # seconds for all of the content
    min_rate: float | None = None  # bytes a second, over RATE_WINDOW


class SpeedCheck:
    """Refuses an upload that is slower than its Pace."""

    def __init__(self, pace: Pace, clock: Callable[[], float], offset: int) -> None:
        self._pace, self._clock = pace, clock
        self._started = clock()
        self._window_start, self._window_offset = self._started, offset

    def __call__(self, offset: int) -> None:
        now = self._clock()
        if self._pace.timeout and now - self._started > self._pace.timeout:
            raise TooSlow(f"The upload took longer than the allowed {self._pace.timeout:.0f} s.")
        seconds = now - self._window_start
        if seconds < RATE_WINDOW:
            return
        if self._pace.min_rate and (offset - self._window_offset) / seconds < self._pace.min_rate:
            raise TooSlow(f"The upload was slower than {human_size(self._pace.min_rate)} per second.")
        self._window_start, self._window_offset = now, offset
