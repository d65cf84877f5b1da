"""What detectors say: sightings in single frames, and finds, which are things and events that begin and end."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Box:
    """An area of the picture, as it is shown. All four are shares of its width and height, from 0 to 1."""

    x: float
    y: float
    width: float
    height: float

    @property
    def numbers(self) -> list[float]:
        return [self.x, self.y, self.width, self.height]

    def rounded(self, digits: int) -> list[float]:
        return [round(number, digits) for number in self.numbers]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing in one frame."""

    time: float  # of the frame, in seconds
    label: str  # what it is: "plate", "text", "motion", or a line of an operator's file of labels
    confidence: float  # from 0 to 1
    box: Box
    text: str = ""  # what is written on it


@dataclass(frozen=True, slots=True)
class Find:
    """An event, or a thing: the sightings that belong together, which are too many to be kept."""

    detector: str
    label: str
    start: float  # seconds
    end: float
    confidence: float
    text: str = ""
    # The rest is empty for events, such as a scene or a silence.
    sightings: int = 0  # how many there are
    path: Sequence[tuple[float, Box]] = field(default=())  # where it was at which time
    best: Sighting | None = None  # the one that its crop shows
