"""Encode the picture of an MP4, MOV or Matroska file in pieces, and join them byte by byte.

A piece has exactly the frames from one key frame's time to the next piece's. It is encoded from its key frame, as
fragments with the timestamps of the whole; so the fragments of all pieces, one after the other, are the whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputInvalid
from ...ffmpeg.probing.media_facts import VideoStream
from ...hls.errors import Unsuitable
from ...hls.file_reading import reading
from ...hls.joined_pieces import summarize_piece
from ...hls.movie import read_picture_times
from ...hls.sample_tables import Flags, Integers
from ..base import Work
from ..divisible import Indivisible, Part
from .picture_packets import read_picture_packets

PIECE_NAME = "piece.mp4"
# Seconds. A shorter piece costs bytes, as it begins with a key frame; of a longer one, more is lost with its worker.
SHORTEST, LONGEST = 8.0, 60.0
# A piece is this share of what a slot has left to do: the last ones are short, so that all slots end together.
_SHARE = 0.5
# The demuxer finds the key frame at or before the time that it is given: this is just after it.
_AFTER = 0.0005
_TOLERANCE = 0.002
_LEAST_FRAMES = 0.9  # of the packets of a damaged source, what share must be there as frames
FRAGMENTS = ("-f", "mp4", "-movflags", "+cmaf+frag_keyframe+empty_moov+frag_discont+skip_trailer")
TIMESCALE = "90000"


@dataclass(frozen=True, slots=True)
class Piece:
    """The frames from `begin` to `end`, in units of 1/timescale s. None: from the first one, or to the last one."""

    timescale: int
    begin: int | None
    end: int | None
    frames: int
    shift: float = 0.0  # seconds that are subtracted from the time stamps of the file

    @property
    def whole_source(self) -> tuple[str, ...]:
        """Options of the source, to decode it from its beginning."""
        return ("-copyts", *(("-itsoffset", f"{-self.shift:.6f}") if self.shift else ()))

    @property
    def seek(self) -> tuple[str, ...]:
        """Options of the source, to decode it from the key frame of this piece."""
        if self.begin is None:
            return self.whole_source
        at = self.begin / self.timescale + self.shift + _AFTER
        return (*self.whole_source, "-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{at:.6f}")

    @property
    def trim_filter(self) -> str:
        bounds = (("start_pts", self.begin), ("end_pts", self.end))
        given = ":".join(f"{name}={value}" for name, value in bounds if value is not None)
        return f"trim={given}" if given else "null"

    @property
    def timestamps(self) -> tuple[str, ...]:
        return ("-fps_mode", "passthrough", "-enc_time_base", f"1/{TIMESCALE}")

    @property
    def muxer(self) -> tuple[str, ...]:
        return (*FRAGMENTS, "-video_track_timescale", TIMESCALE)

    def begins_late(self, path: Path) -> bool:
        """Whether the source was decoded from too late a frame. Raises OutputInvalid if frames are missing."""
        try:
            found = summarize_piece(path)
        except Unsuitable as reason:
            raise OutputInvalid(f"{path.name} cannot be used: {reason}.") from reason
        if self.begin is not None and found.begin - Fraction(self.begin, self.timescale) > _TOLERANCE:
            return True
        if found.frames < self.frames * _LEAST_FRAMES:
            raise OutputInvalid(f"{path.name} has {found.frames} frames instead of {self.frames}.")
        return False


@dataclass(frozen=True, slots=True)
class _Times:
    """When the packets of the picture are presented, in units and in decoding order."""

    timescale: int
    presented: Integers
    is_key: Flags
    shift: float = 0.0


def split_picture(work: Work[Any], picture: VideoStream, slots: int) -> list[Part]:
    """Parts that each begin at a key frame, the longest first. Raises Indivisible."""
    match work.main.facts.format:
        case "mov":
            times = _from_index(work)
        case "matroska":
            times = _from_packets(work, picture)
        case _:
            raise Indivisible("its container does not find key frames exactly")
    pieces = _pieces(times, slots)
    if len(pieces) < 2:
        raise Indivisible("it has too few key frames")
    return [Part(asdict(piece), seconds) for piece, seconds in pieces]


def _from_index(work: Work[Any]) -> _Times:
    try:
        with reading(work.main.path) as (read, size):
            found = read_picture_times(read, size)
    except Unsuitable as reason:
        raise Indivisible(str(reason)) from reason
    if found.begin < 0:
        raise Indivisible("its edit list hides its first frames")
    if found.begin > 0 and work.tools.probe(work.main.path).begin > 0:
        raise Indivisible("it begins later than at 0")
    return _Times(found.timescale, found.presented, found.samples.is_sync)


def _from_packets(work: Work[Any], picture: VideoStream) -> _Times:
    found = read_picture_packets(work, picture)
    if found is None or not len(found.presented):
        raise Indivisible("its time stamps are damaged")
    if found.unit.numerator != 1:
        raise Indivisible("its time stamps have an odd unit")
    begin = work.tools.probe(work.main.path).begin
    shift = round(begin * found.unit.denominator)
    return _Times(found.unit.denominator, found.presented - shift, found.is_key, shift * float(found.unit))


def _pieces(times: _Times, slots: int) -> list[tuple[Piece, float]]:
    """With their seconds."""
    ordered = np.sort(times.presented)
    bounds = _bounds(times, slots)
    counts = np.diff(np.append(np.searchsorted(ordered, bounds), len(ordered)))
    begins: list[int | None] = [None, *bounds[1:]]
    ends: list[int | None] = [*bounds[1:], None]
    lengths = np.diff([*bounds, int(ordered[-1])]) / times.timescale
    return [
        (Piece(times.timescale, begin, end, int(count), times.shift), max(0.001, float(length)))
        for begin, end, count, length in zip(begins, ends, counts, lengths, strict=True)
    ]


def _bounds(times: _Times, slots: int) -> list[int]:
    """When the pieces begin."""
    presented = times.presented
    # A key frame is no cut if a frame that is decoded before it is presented after it.
    latest_before = np.concatenate(([np.iinfo(np.int64).min], np.maximum.accumulate(presented)[:-1]))
    cuts = presented[times.is_key & (presented > latest_before)]
    return [int(presented.min()), *_chosen(cuts, times, slots)]


def _chosen(cuts: Integers, times: _Times, slots: int) -> Iterator[int]:
    at, end, shortest = int(times.presented.min()), int(times.presented.max()), SHORTEST * times.timescale
    while True:
        wanted = (end - at) * _SHARE / slots
        wanted = min(LONGEST * times.timescale, max(shortest, wanted))
        place = int(np.searchsorted(cuts, at + wanted * 0.9))
        if place == len(cuts) or end - int(cuts[place]) < shortest / 2:
            return
        at = int(cuts[place])
        yield at


def piece_paths(made: Sequence[tuple[Piece, Path]]) -> list[Path]:
    """In the order of the whole."""
    return [path for _, path in sorted(made, key=lambda each: each[0].begin or 0)]
