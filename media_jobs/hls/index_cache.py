"""Keep the indexes of the files that are being played. Building one takes up to a tenth of a second."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from .errors import Unsuitable
from .movie import Read, read_movie
from .segments import Index, cut

# Samples of all indexes together: 100 MB of arrays, or eight files of an hour.
_MOST_SAMPLES = 2_000_000
_MOST_REASONS = 1000


class IndexCache:
    """By content: equal bytes have one index. The one that was used longest ago goes first."""

    def __init__(self, most_samples: int = _MOST_SAMPLES) -> None:
        self._most_samples = most_samples
        self._indexes: OrderedDict[str, Index] = OrderedDict()
        self._reasons: OrderedDict[str, str] = OrderedDict()  # why files have no index
        self._lock = threading.Lock()
        self._building = threading.Lock()  # one at a time: a hostile index takes memory while it is read

    def get(self, content: str, size: int, read: Callable[[], Read]) -> Index:
        """Return the index of this content, which `read()` opens if it must be built. Raises Unsuitable."""
        if (found := self._kept(content)) is not None:
            return found
        with self._building:
            if (found := self._kept(content)) is not None:  # built meanwhile
                return found
            try:
                built = cut(read_movie(read(), size))
            except Unsuitable as reason:
                with self._lock:
                    self._reasons[content] = str(reason)
                    while len(self._reasons) > _MOST_REASONS:
                        self._reasons.popitem(last=False)
                raise
            self._keep(content, built)
            return built

    def _kept(self, content: str) -> Index | None:
        with self._lock:
            if content in self._reasons:
                raise Unsuitable(self._reasons[content])
            if content in self._indexes:
                self._indexes.move_to_end(content)
            return self._indexes.get(content)

    def _keep(self, content: str, built: Index) -> None:
        with self._lock:
            self._indexes[content] = built
            while len(self._indexes) > 1 and sum(map(_samples, self._indexes.values())) > self._most_samples:
                self._indexes.popitem(last=False)


def _samples(index: Index) -> int:
    return sum(len(rendition.track.samples) for rendition in (index.video, *index.audio))
