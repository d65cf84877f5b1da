"""The detector `scenes`: cuts, where the picture changes from one frame to the next by far more than around it.

Around a cut there is little change. A fast camera changes every frame, and a flash changes the picture twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from .detector import FilterDetector, Marked
from .sightings import Find

_KEY = "lavfi.scd.mafd"  # the mean change from the frame before, in percent
_STILL = 1  # percent: frames that change by less are not marked
_LEAST = 4.0  # percent: a cut between two pictures of the same room
_TIMES = 2.0  # as much as any frame near it
_NEAR = 0.3  # seconds: longer than a flash, shorter than a scene


class Scenes(FilterDetector):
    name = "scenes"
    title = "Scenes"
    things = ("scene", "scenes")
    media = "video"
    keys = (_KEY,)

    def filters(self) -> Sequence[str]:
        return ["scdet=t=100", f"metadata=delete:key={_KEY}:value={_STILL}:function=less"]

    def finds(self, marked: Iterable[Marked], end: float) -> Sequence[Find]:
        edges = [0.0, *_cuts(marked), end]
        return [Find(self.name, "scene", start, stop, 1.0) for start, stop in pairwise(edges) if start < stop]


def _cuts(marked: Iterable[Marked]) -> Iterator[float]:
    pairs = ((each.time, float(each.values[_KEY])) for each in marked if _KEY in each.values)
    times, changes = np.fromiter(chain.from_iterable(pairs), np.float64).reshape(-1, 2).T
    for number in np.flatnonzero(changes >= _LEAST):
        first, last = np.searchsorted(times, (times[number] - _NEAR, times[number] + _NEAR))
        others = np.delete(changes[first:last], number - first)
        if changes[number] >= _LEAST + _TIMES * others.max(initial=0.0):
            yield float(times[number])
