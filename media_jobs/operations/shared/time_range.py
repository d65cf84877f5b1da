"""The part of a recording that an operation works on, how ffmpeg seeks to it, and how long the output will be."""

from dataclasses import dataclass

from ...errors import UnfitMedia
from ...ffmpeg.demuxers import SEEKS_PAST_KEY_FRAMES, WITHOUT_DURATION, WITHOUT_TIMESTAMPS
from ...ffmpeg.probing.media_facts import AudioStream, Facts, VideoStream
from ...ffmpeg.progress import clock_time
from .parameters import LONGEST

SLACK = 1.0  # seconds that `end` may lie past the end: durations are shown rounded
SPARE = 60.0  # seconds that ffmpeg may write more than expected, before it is stopped
LEAD = 30.0  # seconds, longer than key frames are apart


@dataclass(frozen=True, slots=True)
class Seek:
    """How to go to a moment: options of source and target, and the seconds that are read before it."""

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    lead: float = 0.0


def seek(format: str, start: float) -> Seek:
    lead = min(start, LEAD) if format in SEEKS_PAST_KEY_FRAMES else start if format in WITHOUT_TIMESTAMPS else 0.0
    return Seek(seek_option(start - lead), seek_option(lead), lead)


def seek_option(seconds: float) -> tuple[str, ...]:
    return ("-ss", f"{seconds:.6f}") if seconds else ()


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start` to `end`, in seconds from the beginning. None is the end of the recording."""

    start: float = 0.0
    end: float | None = None

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end is None

    def check(self, duration: float | None, most: float = LONGEST) -> None:
        """Raise UnfitMedia where a recording of this length is over before the part begins or ends.

        Nor may the part last more than `most` seconds: a few bytes can say that the next picture comes in a century.
        """
        if duration is None:
            return
        if self.start >= max(duration, SLACK):
            raise UnfitMedia(f"The part asked for starts at {self.start:g} s, but there are only {duration:.1f} s.")
        if self.end is not None and self.end > duration + SLACK:
            raise UnfitMedia(f"The part asked for ends at {self.end:g} s, but there are only {duration:.1f} s.")
        if (made := (self.end or duration) - self.start) > most:
            raise UnfitMedia(
                f"What is made may last {most / 3600:g} hours, and this would last {clock_time(made)}: choose a "
                "part, by start and end. If the recording is not that long, its timestamps leap."
            )

    def seek(self, format: str) -> Seek:
        """How to read the part alone."""
        to_start = seek(format, self.start)
        if self.end is None:
            return to_start
        length = ("-t", f"{self.end - self.start + to_start.lead:.6f}")
        return Seek((*to_start.source, *length), to_start.target, to_start.lead)

    def duration(self, whole: float | None) -> float | None:
        """How long the part is, of a recording whose length may not be known."""
        if whole is None:
            return None
        return max(0.0, (whole if self.end is None else min(self.end, whole)) - self.start)


def duration_of(facts: Facts, *streams: VideoStream | AudioStream) -> float | None:
    """How long a file of only these streams is, if the file can be believed. What is left out may be the longest."""
    if is_duration_estimated(facts):
        return None
    ends = [stream.end for stream in streams if stream.end is not None]
    if len(ends) == len(streams):
        return max(ends)
    pictures = sum(not stream.is_picture for stream in facts.video)
    has_others = pictures + len(facts.audio) + len(facts.subtitles) > len(streams)
    return None if has_others else facts.duration


def is_duration_estimated(facts: Facts) -> bool:
    """Nothing in the file says how long it is: it was told from a rate, or from times that may have begun anew."""
    return facts.format in WITHOUT_DURATION


def output_limit(duration: float | None) -> float:
    """For a Command: a gap in timestamps must not make hours out of minutes."""
    return LONGEST if duration is None else duration * 1.02 + SPARE
