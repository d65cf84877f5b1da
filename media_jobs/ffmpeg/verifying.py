"""Whether an output is what was asked for: every packet of it is read. It costs half a percent of an encode."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """What an output must turn out to be when all its packets are read. What is None is not judged."""

    duration: float | None = None
    tolerance: float = 0.5  # seconds that the duration may differ, besides 1 % of it
    video: int = 0  # how many streams of each kind
    audio: int = 0
    width: int | None = None
    height: int | None = None
    frames: int | None = None  # at least so many video packets
