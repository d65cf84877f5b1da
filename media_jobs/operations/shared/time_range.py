"""The part of a recording that an operation works on, how ffmpeg seeks to it, and how long the output will be."""

from dataclasses import dataclass

from ...errors import UnfitMedia
from ...ffmpeg.demuxers import COUNTS_FROM_USED, SEEKS_PAST_KEY_FRAMES, WITHOUT_DURATION, WITHOUT_TIMESTAMPS
from ...ffmpeg.probing.media_facts import AudioStream, Facts, VideoStream
from ...ffmpeg.progress import clock_time
from .parameters import MAX_DURATION

TOLERANCE = 1.0  # seconds that `end` may lie after the end: users see rounded durations
MARGIN = 60.0  # seconds that ffmpeg may write beyond the expected duration before it is stopped
LEAD = 30.0  # seconds: more than the distance of key frames


@dataclass(frozen=True, slots=True)
class Seek:
    """Options of a Source and a Target that begin at a time, and the seconds that are decoded before it."""

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    lead: float = 0.0

    @property
    def late(self) -> tuple[str, ...]:
        """Options of another Source whose beginning is that of the target."""
        return ("-itsoffset", f"{self.lead:.6f}") if self.lead else ()


def seek(format: str, start: float) -> Seek:
    """Seek to `start` in the input. Where the demuxer cannot do that exactly, decode some seconds before it."""
    lead = min(start, LEAD) if format in SEEKS_PAST_KEY_FRAMES else start if format in WITHOUT_TIMESTAMPS else 0.0
    return Seek(seek_option(start - lead), seek_option(lead), lead)


def seek_option(seconds: float) -> tuple[str, ...]:
    return ("-ss", f"{seconds:.6f}") if seconds else ()


def count_from_file(facts: Facts, *used: VideoStream | AudioStream) -> tuple[str, ...]:
    """Options of a Source of which only these streams are read: times then count from the beginning of the file."""
    begin = min(stream.begin or 0.0 for stream in used)
    return ("-itsoffset", f"{begin:.6f}") if facts.format in COUNTS_FROM_USED and begin > 0 else ()


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start` to `end`, in seconds from the beginning of the recording. None is its end."""

    start: float = 0.0
    end: float | None = None

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end is None

    def check(self, duration: float | None, maximum: float = MAX_DURATION) -> None:
        """Raise UnfitMedia if the range is not inside a recording of this duration, or is longer than `maximum`.

        The maximum protects against files of a few bytes whose timestamps claim a century.
        """
        if duration is None:
            return
        lasts = f"but the file lasts only {duration:.1f} s"
        if self.start >= max(duration, TOLERANCE):
            raise UnfitMedia(f"start is {self.start:g} s, {lasts}. Choose an earlier start.")
        if self.end is not None and self.end > duration + TOLERANCE:
            raise UnfitMedia(f"end is {self.end:g} s, {lasts}. Choose an earlier end, or leave it out.")
        if (made := (self.end or duration) - self.start) > maximum:
            raise UnfitMedia(
                f"The output would last {clock_time(made)}, and may last {maximum / 3600:g} hours at most. Choose a "
                "part by start and end. If the file is not that long, its timestamps are damaged."
            )

    def seek(self, format: str) -> Seek:
        """Options that read only this range."""
        to_start = seek(format, self.start)
        if self.end is None:
            return to_start
        length = ("-t", f"{self.end - self.start + to_start.lead:.6f}")
        return Seek((*to_start.source, *length), to_start.target, to_start.lead)

    def duration(self, whole: float | None) -> float | None:
        """The duration of this range of a recording that lasts `whole` seconds; None if that is unknown."""
        if whole is None:
            return None
        return max(0.0, (whole if self.end is None else min(self.end, whole)) - self.start)


def duration_of(facts: Facts, *streams: VideoStream | AudioStream) -> float | None:
    """The duration of a file that has only these streams; None if unknown.

    The duration of the whole file does not tell: a stream that is left out may be the longest.
    """
    if is_duration_estimated(facts):
        return None
    ends = [stream.end for stream in streams if stream.end is not None]
    if len(ends) == len(streams):
        return max(ends)
    pictures = sum(not stream.is_picture for stream in facts.video)
    has_others = pictures + len(facts.audio) + len(facts.subtitles) > len(streams)
    return None if has_others else facts.duration


def likely_duration(facts: Facts, *streams: VideoStream | AudioStream) -> float | None:
    """The same; or that of the whole file, which may be longer or estimated: for limits and progress."""
    return duration_of(facts, *streams) or facts.duration


def is_duration_estimated(facts: Facts) -> bool:
    """Whether facts.duration is only ffmpeg's estimate: see demuxers.WITHOUT_DURATION."""
    return facts.format in WITHOUT_DURATION


def output_limit(duration: float | None) -> float:
    """The max_duration of a Command, so that a gap in the timestamps cannot turn minutes into hours."""
    return MAX_DURATION if duration is None else duration * 1.02 + MARGIN
