"""What the time stamps of a stream's first frames tell: whether its rate varies, and whether its GOPs are open."""

from collections.abc import Iterable
from itertools import pairwise

_AVERAGE = 0.05  # the average rate of a file differs by more from that of its beginning if it varies
_LEADING = 8  # packets after a key frame that may be presented before it


def varies(times: Iterable[int], average_step: float | None) -> bool:
    """Whether frames with these time stamps have no steady rate. `average_step` is that of the whole stream."""
    steps = sorted(b - a for a, b in pairwise(sorted(times)))
    if not steps:
        return False
    median = steps[len(steps) // 2]
    # Timestamps are rounded, and single frames may be missing.
    others = sum(abs(step - median) > max(1, median * 0.2) for step in steps)
    return others > max(2, len(steps) * 0.03) or _varies_later(steps, average_step)


def _varies_later(steps: list[int], average_step: float | None) -> bool:
    """The frames after the beginning have another rate, if the beginning is long enough to compare."""
    if average_step is None or len(steps) < 2 * _LEADING:
        return False
    beginning = sum(steps) / len(steps)
    return abs(average_step - beginning) > max(1.0, beginning * _AVERAGE)


class GopOrder:
    """Watches packets in the order of decoding: one that is presented before the key frame before it opens a GOP."""

    def __init__(self) -> None:
        self.is_open = False
        self._key: int | None = None
        self._keys, self._since = 0, 0

    @property
    def is_known(self) -> bool:
        """Whether the frames after a second key frame were seen. Those after the first one may have been cut off."""
        return self.is_open or (self._keys > 1 and self._since >= _LEADING)

    def add(self, pts: int, *, is_key: bool) -> None:
        if is_key:
            self._key, self._since = pts, 0
            self._keys += 1
        elif self._key is not None:
            self._since += 1
            self.is_open = self.is_open or pts < self._key
