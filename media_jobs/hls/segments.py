"""Cut a movie into segments that play on their own, and find the bytes of each.

A segment begins with a key frame that is presented before everything that is decoded after it, and after everything
that is decoded before it. Other key frames belong to open GOPs: frames after them need frames before them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import Unsuitable
from .movie import Movie, Track
from .sample_tables import Flags, Integers, Samples

TARGET = 4  # seconds: the shortest segment, but for the last
LONGEST = 12  # a longer one makes seeking slow
_LATE = Fraction(1, 10)  # seconds that the picture may begin after the sound


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a track is on the common time line, in units of the track."""

    delay: int  # what its decoding times need so that none is negative; an edit list takes it back
    start: int  # decoding time of its first sample, with the delay


@dataclass(frozen=True, slots=True)
class Rendition:
    """A track cut into segments: segment n has the samples from cuts[n] to cuts[n + 1]."""

    track: Track
    timing: Timing
    cuts: Integers
    durations: list[Fraction]  # of the segments, in seconds
    # Key frames of open GOPs are not marked: a player that seeks to one shows damaged pictures.
    is_key: Flags

    def __len__(self) -> int:
        return len(self.durations)


@dataclass(frozen=True, slots=True)
class Index:
    video: Rendition
    audio: list[Rendition]

    @property
    def named(self) -> dict[str, Rendition]:
        """The renditions by their names in addresses."""
        return {"video": self.video, **{f"audio{number}": sound for number, sound in enumerate(self.audio)}}


def cut(movie: Movie) -> Index:
    """Raises Unsuitable if the picture cannot be cut often enough."""
    video = movie.video
    _check_beginnings(movie)
    possible = playable_cuts(video.samples)
    cuts = _video_cuts(video, possible)
    times = [_presented(video, int(sample)) for sample in cuts]
    durations = [after - before for before, after in zip(times, [*times[1:], _end(video)], strict=True)]
    if max(durations) > LONGEST:
        raise Unsuitable(why_too_long(is_open=len(possible) < int(video.samples.is_sync.sum())))
    audio = [_cut_audio(track, times) for track in movie.audio]
    is_key = np.zeros(len(video.samples), np.bool_)
    is_key[possible] = True
    return Index(_rendition(video, cuts, durations, is_key), audio)


def _check_beginnings(movie: Movie) -> None:
    if movie.video.begin < 0:
        raise Unsuitable("its edit list hides its first frames")
    check_picture_begins(movie.video.begin, [track.begin for track in movie.audio])


def check_picture_begins(picture: Fraction, sounds: Sequence[Fraction]) -> None:
    if any(picture > sound + _LATE for sound in sounds):
        raise Unsuitable("its picture begins later than its sound")


def playable_cuts(samples: Samples) -> Integers:
    """The samples that a segment may begin with."""
    pts = samples.pts
    after = np.minimum.accumulate(pts[::-1])[::-1]  # the earliest of this sample and those after it
    before = np.concatenate(([np.iinfo(np.int64).min], np.maximum.accumulate(pts)[:-1]))
    return np.flatnonzero(samples.is_sync & (pts == after) & (pts > before))


def _video_cuts(video: Track, possible: Integers) -> Integers:
    """Of the playable cuts, those that make segments of at least TARGET seconds."""
    if not len(possible) or possible[0] != 0:
        raise Unsuitable("it does not begin with a key frame")
    return possible[spaced(video.samples.pts[possible], TARGET * video.timescale)]


def spaced(times: npt.NDArray[Any], least: float) -> list[int]:
    """Which of these ascending times to choose, so that they are at least so far apart."""
    chosen, at = [0], 0
    while (at := int(np.searchsorted(times, times[at] + least))) < len(times):
        chosen.append(at)
    return chosen


def why_too_long(*, is_open: bool) -> str:
    return "its GOPs are open" if is_open else f"its key frames are more than {LONGEST} seconds apart"


def _cut_audio(track: Track, times: list[Fraction]) -> Rendition:
    """Cut the sound where the picture is cut. The first segment also has what is before the picture."""
    wanted = [int(-(-(time * track.timescale) // 1)) - track.shift for time in times]
    cuts = np.searchsorted(track.samples.pts, wanted)
    cuts[0] = 0
    kept = np.unique(cuts[cuts < len(track.samples)])  # sound that ends early has fewer segments
    begins = [max(Fraction(0), _presented(track, int(sample))) for sample in kept]
    durations = [after - before for before, after in zip(begins, [*begins[1:], _end(track)], strict=True)]
    return _rendition(track, kept, durations, np.ones(len(track.samples), np.bool_))


def _rendition(track: Track, cuts: Integers, durations: list[Fraction], is_key: Flags) -> Rendition:
    first = int(track.samples.dts[0]) + track.shift
    delay = max(0, -first)
    return Rendition(track, Timing(delay, first + delay), np.append(cuts, len(track.samples)), durations, is_key)


def _presented(track: Track, sample: int) -> Fraction:
    samples = track.samples
    units = int(samples.dts[sample]) + int(samples.composition[sample]) + track.shift
    return Fraction(units, track.timescale)


def _end(track: Track) -> Fraction:
    last = int((track.samples.pts + track.samples.duration).max())
    return Fraction(last + track.shift, track.timescale)
