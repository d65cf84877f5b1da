"""The detector `scenes`: cuts, where the picture changes from one frame to the next by far more than around it.

Around a cut there is little change. A fast camera changes every frame, and a flash changes the picture twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from .detector import FilterDetector, Marked
from .frame_changes import CHANGE, FILTERS, FIRST, change
from .sightings import Find

_LEAST = 4.0  # percent: key frames renew a noisy picture by less, and two dark scenes differ by more
_TIMES = 1.8  # as much as any frame near it; a shaking camera changes one 1.4 times as much as others
_NEAR = 0.3  # seconds: longer than a flash, shorter than a scene
_FIRST = 1000.0  # percent, more than any other: a scene begins with the first frame


class Scenes(FilterDetector):
    name = "scenes"
    title = "Scenes"
    things = ("scene", "scenes")
    media = "video"
    keys = (CHANGE, FIRST)

    def filters(self) -> Sequence[str]:
        return FILTERS

    def finds(self, marked: Iterable[Marked], end: float) -> Sequence[Find]:
        edges = [*_cuts(marked), end]
        return [Find(self.name, "scene", start, stop, 1.0) for start, stop in pairwise(edges) if start < stop]


def _cuts(marked: Iterable[Marked]) -> Iterator[float]:
    """With the time of the first frame."""
    pairs = ((each.time, _FIRST if FIRST in each.values else change(each)) for each in marked)
    times, changes = np.fromiter(chain.from_iterable(pairs), np.float64).reshape(-1, 2).T
    for number in np.flatnonzero(changes >= _LEAST):
        first, last = np.searchsorted(times, (times[number] - _NEAR, times[number] + _NEAR))
        others = np.delete(changes[first:last], number - first)
        if changes[number] >= _TIMES * others.max(initial=0.0):
            yield float(times[number])
