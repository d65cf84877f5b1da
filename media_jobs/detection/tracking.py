"""From sightings to finds: what is seen in one sampled frame after the other is put together, thing by thing.

- Two sightings in one frame are two things, however alike they are.
- What is not seen in a few frames has gone. What is read alike within seconds, and was never seen in one frame with
  the other, has only been lost for a moment.
- What is seen less often than the detector says is taken for an error.

Memory does not grow with the length of the media: a track has its last sighting, a vote on its text and a short path.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .sightings import Find, Sighting
from .track import Track

_GAP = 3  # sampled frames in which a thing may be missed
_RETURNS = 3.0  # seconds after which it is the same that was lost

Merit = Callable[[Sighting], float]


def _confidence(sighting: Sighting) -> float:
    return sighting.confidence


@dataclass(slots=True)
class Tracker:
    """Of one detector. Give it each sampled frame, also one in which nothing was seen; then call `finish`.

    `merit` says how good the picture of a sighting is: the best one becomes that of the find.
    """

    detector: str
    least: int = 2
    reach: float = 0.5
    merit: Merit = _confidence
    keeps_rare: bool = False  # gives what was seen less often, too, but does not count it
    _frame: int = 0
    _numbers: int = 0
    _open: list[Track] = field(default_factory=list)
    _lost: list[Track] = field(default_factory=list)  # closed, and they may come back
    _ended: int = 0  # finds that were given
    _texts: set[str] = field(default_factory=set)  # of these

    def add(self, time: float, sightings: Sequence[Sighting]) -> list[Find]:
        """The sightings in the next frame. Returns the finds that have ended for good."""
        self._frame += 1
        matched = [self._track_of(sighting, track) for sighting, track in self._matches(sightings)]
        for track in matched:
            track.together.update(other.number for other in matched if other is not track)
        for track in [track for track in self._open if self._frame - track.seen > _GAP]:
            self._close(track)
        return self._give(lambda track: time - track.last.time > _RETURNS)

    def finish(self) -> list[Find]:
        for track in list(self._open):
            self._close(track)
        return self._give(lambda track: True)

    @property
    def count(self) -> int:
        """How many finds there are so far."""
        return self._ended + sum(track.count >= self.least for track in (*self._open, *self._lost))

    @property
    def different_texts(self) -> int:
        """How many texts they have: equal ones count once."""
        current = {track.text for track in (*self._open, *self._lost) if track.count >= self.least}
        return len(self._texts | current)

    def _matches(self, sightings: Sequence[Sighting]) -> list[tuple[Sighting, Track | None]]:
        """The best pairs first. None: the sighting begins a track."""
        costs = sorted(
            (cost, place, number)
            for place, sighting in enumerate(sightings)
            for number, track in enumerate(self._open)
            if (cost := track.cost(sighting, self.reach)) is not None
        )
        places: dict[int, int] = {}
        for _, place, number in costs:
            if place not in places and number not in places.values():
                places[place] = number
        return [
            (sighting, self._open[places[place]] if place in places else None)
            for place, sighting in enumerate(sightings)
        ]

    def _track_of(self, sighting: Sighting, track: Track | None) -> Track:
        if track is None:
            self._numbers += 1
            track = Track(self._numbers, sighting.time, sighting)
            self._open.append(track)
        track.add(sighting, self._frame, self.merit(sighting))
        return track

    def _close(self, track: Track) -> None:
        """It has gone; or it is the same as another track, which goes on or has gone a moment ago."""
        self._open.remove(track)
        if not self._is_absorbed(track, [*self._lost, *self._open]):
            self._lost.append(track)

    def _is_absorbed(self, track: Track, others: Iterable[Track]) -> bool:
        for other in others:
            pause = max(track.first - other.last.time, other.first - track.last.time)
            if pause <= _RETURNS and other.is_same(track):
                other.absorb(track)
                return True
        return False

    def _give(self, is_over: Callable[[Track], bool]) -> list[Find]:
        finds = []
        for track in [track for track in self._lost if is_over(track)]:
            self._lost.remove(track)
            # A track that goes on may have begun while this one could still return.
            if self._is_absorbed(track, self._open):
                continue
            if track.count >= self.least:
                self._ended += 1
                self._texts.add(track.text)
            if track.count >= self.least or self.keeps_rare:
                finds.append(track.find(self.detector))
        return finds
