"""Encode the picture of an MP4 or MOV in pieces, and join them byte by byte.

A piece has exactly the frames from one key frame's time to the next piece's. It is encoded from its key frame, as
fragments with the timestamps of the source; so the fragments of all pieces, one after the other, are the whole.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...ffmpeg.probing.verification import Expected
from ...hls.errors import Unsuitable
from ...hls.file_reading import copy_range, reading
from ...hls.fragmented_file import read_init
from ...hls.movie import Timeline, read_picture_times
from ..base import Input
from ..divisible import Indivisible, Part

PIECE_NAME = "piece.mp4"
# Seconds. A shorter piece costs bytes, as it begins with a key frame; of a longer one, more is lost with its worker.
SHORTEST, LONGEST = 15.0, 60.0
_PIECES_PER_SLOT = 3
_FORMATS = {"mov"}
# The demuxer finds the key frame at or before the time that it is given: this is just after it.
_AFTER = 0.0005
FRAGMENTS = ("-f", "mp4", "-movflags", "+cmaf+frag_keyframe+empty_moov+frag_discont+skip_trailer")
TIMESCALE = "90000"


@dataclass(frozen=True, slots=True)
class Piece:
    """The frames from `begin` to `end`, in units of 1/timescale s. None: from the first one, or to the last one."""

    timescale: int
    begin: int | None
    end: int | None
    frames: int

    @property
    def seek(self) -> tuple[str, ...]:
        """Options of the source."""
        if self.begin is None:
            return ("-copyts",)
        return ("-copyts", "-noaccurate_seek", "-ss", f"{self.begin / self.timescale + _AFTER:.6f}")

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

    def expected(self, size: tuple[int, int]) -> Expected:
        return Expected(video=1, width=size[0], height=size[1], frames=self.frames)


def split_picture(source: Input, slots: int) -> list[Part]:
    """Parts of about equal length, each of which begins at a key frame. Raises Indivisible."""
    if source.facts.format not in _FORMATS:
        raise Indivisible("its container has no index that tells its key frames exactly")
    try:
        times = _read_times(source.path)
    except Unsuitable as reason:
        raise Indivisible(str(reason)) from reason
    if times.begin != 0:
        raise Indivisible("its picture does not begin at 0")
    pieces = _pieces(times, slots)
    if len(pieces) < 2:
        raise Indivisible("it has too few key frames")
    return [Part(asdict(piece), _seconds(piece, times)) for piece in pieces]


def _read_times(path: Path) -> Timeline:
    with reading(path) as (read, size):
        return read_picture_times(read, size)


def _pieces(times: Timeline, slots: int) -> list[Piece]:
    presented = times.presented
    # A key frame is no cut if a frame that is decoded before it is presented after it.
    latest_before = np.concatenate(([np.iinfo(np.int64).min], np.maximum.accumulate(presented)[:-1]))
    cuts = presented[times.samples.is_sync & (presented > latest_before)]
    ordered = np.sort(presented)
    length = float(ordered[-1]) / times.timescale
    least = min(LONGEST, max(SHORTEST, length / (slots * _PIECES_PER_SLOT))) * times.timescale
    bounds = [0]
    while (at := int(np.searchsorted(cuts, bounds[-1] + least))) < len(cuts):
        bounds.append(int(cuts[at]))
    counts = np.diff(np.append(np.searchsorted(ordered, bounds), len(ordered)))
    begins: list[int | None] = [None, *bounds[1:]]
    ends: list[int | None] = [*bounds[1:], None]
    return [
        Piece(times.timescale, begin, end, int(count)) for begin, end, count in zip(begins, ends, counts, strict=True)
    ]


def _seconds(piece: Piece, times: Timeline) -> float:
    end = int(times.presented.max()) if piece.end is None else piece.end
    return max(0.001, (end - (piece.begin or 0)) / times.timescale)


def join_pieces(pieces: Sequence[Path], target: Path) -> Path:
    """Write the header of the first piece and the fragments of all."""
    with target.open("wb") as joined:
        for number, path in enumerate(pieces):
            with reading(path) as (read, size):
                start = len(read_init(read, size)) if number else 0
            copy_range(path, start, size, joined)
    return target
