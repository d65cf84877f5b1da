"""A track: the sightings of one thing, in constant memory however long it is seen."""

from dataclasses import dataclass, field
from heapq import merge

from .boxes import between, distance, is_near, overlap
from .sightings import Box, Find, Sighting
from .texts import differences

# Two sightings are of one thing if they are near and their texts are alike, or if they overlap and are less alike.
_NEAR, _OVERLAP, _ALIKE = 3.0, 0.1, 2
_WELL_OVERLAP, _LESS_ALIKE = 0.3, 4
# A path leaves out points that lie on the way between others, to this share of the picture, but not for long.
_OFF_PATH, _PATH_SECONDS = 0.005, 2.0
_MOST_READINGS = 40
# Of texts that were read so often and so steadily, a difference of one character is real.
_STEADY, _STEADY_SHARE = 4, 0.75


@dataclass(slots=True)
class Reading:
    """A text that some of the sightings have."""

    weight: float = 0.0  # the sum of their confidences
    count: int = 0
    merit: float = -1.0  # of the best one
    best: Sighting | None = None

    def add(self, sighting: Sighting, merit: float) -> None:
        self.weight, self.count = self.weight + sighting.confidence, self.count + 1
        if merit > self.merit:
            self.merit, self.best = merit, sighting

    def add_all(self, other: "Reading") -> None:
        self.weight, self.count = self.weight + other.weight, self.count + other.count
        if other.merit > self.merit:
            self.merit, self.best = other.merit, other.best


@dataclass(slots=True)
class Track:
    number: int
    first: float  # seconds
    last: Sighting
    seen: int = 0  # the number of the frame in which it was seen last
    count: int = 0
    readings: dict[str, Reading] = field(default_factory=dict)
    path: list[tuple[float, Box]] = field(default_factory=list)
    together: set[int] = field(default_factory=set)  # the numbers of tracks that were seen in the same frame

    def add(self, sighting: Sighting, frame: int, merit: float) -> None:
        self.last, self.seen, self.count = sighting, frame, self.count + 1
        self.readings.setdefault(sighting.text, Reading()).add(sighting, merit)
        if len(self.readings) > _MOST_READINGS:
            del self.readings[min(self.readings, key=lambda text: self.readings[text].weight)]
        self._go_to(sighting.time, sighting.box)

    def _go_to(self, time: float, box: Box) -> None:
        if len(self.path) >= 2:
            (begin, start), (middle, passed) = self.path[-2:]
            share = (middle - begin) / (time - begin) if time > begin else 0.0
            if time - begin <= _PATH_SECONDS and is_near(passed, between(start, box, share), _OFF_PATH):
                self.path.pop()
        self.path.append((time, box))

    @property
    def text(self) -> str:
        """By a vote that the confidences weigh."""
        return max(self.readings, key=lambda text: self.readings[text].weight)

    def cost(self, sighting: Sighting, reach: float) -> float | None:
        """How badly a sighting fits, to compare; None if it is of something else.

        `reach`: how many of its widths it may be away, if there is no text to tell it from others.
        """
        last = self.last
        if sighting.label != last.label:
            return None
        common, away = overlap(last.box, sighting.box), distance(last.box, sighting.box)
        has_text = bool(sighting.text or last.text)
        if common <= _OVERLAP and away > (_NEAR if has_text else reach):
            return None
        if not has_text:
            return away - common
        most = _LESS_ALIKE if common > _WELL_OVERLAP else _ALIKE
        most = min(most, (max(len(sighting.text), len(last.text)) + 1) // (2 if most > _ALIKE else 3))
        found = min(differences(text, sighting.text, most) for text in {last.text, self.text})
        return found + away - 2 * common if found <= most else None

    def is_same(self, other: "Track") -> bool:
        """Whether both are one thing that was lost for a moment: read alike, and never seen together."""
        if self.last.label != other.last.label or other.number in self.together or self.number in other.together:
            return False
        text, another = self.text, other.text
        if not text or not another:
            return False
        found = differences(text, another, 1)
        return found == 0 or (found == 1 and not (self.is_steady and other.is_steady))

    @property
    def is_steady(self) -> bool:
        best = self.readings[self.text]
        whole = sum(reading.weight for reading in self.readings.values())
        return best.count >= _STEADY and best.weight >= _STEADY_SHARE * whole

    def absorb(self, other: "Track") -> None:
        self.first = min(self.first, other.first)
        if other.last.time > self.last.time:
            self.last, self.seen = other.last, other.seen
        self.count += other.count
        for text, reading in other.readings.items():
            self.readings.setdefault(text, Reading()).add_all(reading)
        self.path = list(merge(self.path, other.path, key=lambda point: point[0]))
        self.together |= other.together

    def find(self, detector: str) -> Find:
        text = self.text
        reading = self.readings[text]
        best = reading.best if reading.best is not None else self.last
        confidence = round(reading.weight / reading.count, 3)
        return Find(
            detector, self.last.label, self.first, self.last.time, confidence, text, self.count, self.path, best
        )
