"""The part of a recording that is asked for, from `start` to `end`, and how long what is made of it will be."""

from dataclasses import dataclass

from pydantic import Field, model_validator

from ...errors import UnfitMedia
from ...ffmpeg.demuxers import SEEKS_PAST_KEY_FRAMES, WITHOUT_DURATION, WITHOUT_TIMESTAMPS
from ...ffmpeg.probing.media_facts import AudioStream, Facts, VideoStream
from ...ffmpeg.progress import clock_time
from ..base import Params
from .parameters import LONGEST, Fault, Seconds

SLACK = 1.0  # seconds that `end` may lie past the end: durations are shown rounded
SPARE = 60.0  # seconds that ffmpeg may write more than expected, before it is stopped

LEAD = 30.0  # seconds, longer than key frames are apart


@dataclass(frozen=True, slots=True)
class Sought:
    """How to go to a moment: options of source and target, and the seconds that are read before it."""

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    lead: float = 0.0


def sought(format: str, start: float) -> Sought:
    lead = min(start, LEAD) if format in SEEKS_PAST_KEY_FRAMES else start if format in WITHOUT_TIMESTAMPS else 0.0
    first = start - lead
    return Sought(_from(first), _from(lead), lead)


def _from(seconds: float) -> tuple[str, ...]:
    return ("-ss", f"{seconds:.6f}") if seconds else ()


class Cut(Params):
    """Parameters of operations that can work on a part."""

    start: Seconds = Field(0.0, title="Start", description="Seconds from the beginning, or a time such as 1:30.")
    end: Seconds | None = Field(
        None, title="End", description="Seconds from the beginning, or a time. Left out: to the end."
    )

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "Cut":
        if self.end is not None and self.end <= self.start:
            raise Fault("end", "must be after start")
        return self

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end is None

    def fit(self, length: float | None, most: float = LONGEST) -> None:
        """Raise UnfitMedia where a recording of this length is over before the part begins or ends.

        Nor may the part last more than `most` seconds: a few bytes can say that the next picture comes in a century.
        """
        if length is None:
            return
        if self.start >= max(length, SLACK):
            raise UnfitMedia(f"The part asked for starts at {self.start:g} s, but there are only {length:.1f} s.")
        if self.end is not None and self.end > length + SLACK:
            raise UnfitMedia(f"The part asked for ends at {self.end:g} s, but there are only {length:.1f} s.")
        if (made := (self.end or length) - self.start) > most:
            raise UnfitMedia(
                f"What is made may last {most / 3600:g} hours, and this would last {clock_time(made)}: choose a "
                "part, by start and end. If the recording is not that long, its timestamps leap."
            )

    def sought(self, format: str) -> Sought:
        """How to read the part alone."""
        way = sought(format, self.start)
        if self.end is None:
            return way
        return Sought((*way.source, "-t", f"{self.end - self.start + way.lead:.6f}"), way.target, way.lead)

    def length(self, whole: float | None) -> float | None:
        """How long the part is, of a recording whose length may not be known."""
        if whole is None:
            return None
        return max(0.0, (whole if self.end is None else min(self.end, whole)) - self.start)


def length_of(facts: Facts, *kept: VideoStream | AudioStream) -> float | None:
    """How long a file of only these streams is, if the file can be believed. What is left out may be the longest."""
    if is_guessed(facts):
        return None
    ends = [stream.end for stream in kept if stream.end is not None]
    if len(ends) == len(kept):
        return max(ends)
    others = (
        sum(not stream.is_picture for stream in facts.video) + len(facts.audio) + len(facts.subtitles) - len(kept)
    )
    return None if others else facts.duration


def is_guessed(facts: Facts) -> bool:
    """Nothing in the file says how long it is: it was told from a rate, or from times that may have begun anew."""
    return facts.format in WITHOUT_DURATION


def longest(length: float | None) -> float:
    """For a Command: a gap in timestamps must not make hours out of minutes."""
    return LONGEST if length is None else length * 1.02 + SPARE
