"""Runs of segments of a rendition: what a worker encodes at a time. Runs follow each other without a gap.

All renditions have their key frames at the same times, so that players can change between them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputInvalid
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.demuxers import SEEKS_PAST_KEY_FRAMES
from ...ffmpeg.probing.media_facts import VideoStream
from ...ffmpeg.probing.verification import Expected
from ...hls.errors import Unsuitable
from ...hls.fragments import MEDIA_TYPE
from ...hls.packaged import SegmentTable, pack_run
from ...hls.segments import TARGET, spaced
from ..base import Input, Output, Work
from .codecs import VIDEO
from .hls_source import Segments, shifted
from .split_encode import FRAGMENTS, TIMESCALE
from .time_range import output_limit
from .video_filters import deinterlace_filters, even_size, fit_size, scale_filter, tone_map_filters

# Seconds of media. The first run is short, so that it plays soon; of a long one, more is lost with its worker.
_FIRST, _LENGTH = 8.0, 30.0
# A frame is cut off by its time, which programs round differently: this is less than the distance of two frames.
_ROUNDED = 0.0005
_LEAD = 1.5  # seconds by which a frame may be before its time in a transport stream
_TOLERANCE = 0.002
_QUALITY = "medium"
_KEPT = 0.25  # of the packets of a damaged or interlaced source, what share must be there as frames
_ONLY_WHERE_TOLD = ("-g", "100000", "-sc_threshold", "0", "-forced-idr", "1")


@dataclass(frozen=True, slots=True)
class Run:
    """Part of a rendition: the segments that begin at these times. Without times: the whole picture."""

    name: str  # of the rendition, such as "360p"
    height: int
    number: int
    of: int  # how many runs the rendition has
    begins: Sequence[float]
    end: float | None  # None: to the last frame
    first: int  # the number of its first segment
    frames: int  # at least
    longest: float  # seconds, of the segments of all runs
    shift: float
    holds: bool  # whether the first picture is shown from the beginning
    is_exact: bool

    @property
    def file(self) -> str:
        return f"{self.name}.mp4"

    @property
    def spec(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def seconds(self) -> float:
        return max(0.1, (self.end or self.begins[-1] + TARGET) - self.begins[0]) if self.begins else TARGET


def runs_of(name: str, height: int, segments: Segments | None, *, shift: float, holds: bool) -> Iterator[Run]:
    """All runs of a rendition, in their order."""
    if segments is None:
        yield Run(name, height, 0, 1, [], None, 0, 1, float(TARGET), shift, holds, is_exact=False)
        return
    begins = segments.begins
    bounds = _bounds(begins)
    for number, (first, last) in enumerate(zip(bounds, [*bounds[1:], len(begins)], strict=True)):
        frames = sum(segments.frames[first:last])
        yield Run(
            name, height, number, len(bounds), begins[first:last],
            begins[last] if last < len(begins) else None, first,
            frames if segments.is_exact else max(1, int(frames * _KEPT)), round(segments.longest, 3), shift,
            holds, segments.is_exact,
        )  # fmt: skip


def _bounds(begins: Sequence[float]) -> list[int]:
    """The segments with which runs begin."""
    second = next((at for at, begin in enumerate(begins) if begin >= begins[0] + _FIRST - 1), None)
    if second is None:
        return [0]
    return [0, *(second + at for at in spaced(np.array(begins[second:]), _LENGTH))]


class RunEncoder:
    def __init__(self, work: Work[Any], picture: VideoStream, run: Run) -> None:
        self._work, self._picture, self._run = work, picture, run
        self.size = even_size(fit_size(picture, height=run.height))

    def encode(self) -> Output:
        path, made = self._work.folder / self._run.file, self._work.folder / "encoded.mp4"
        main = self._work.main
        self._work.tools.ffmpeg(
            Command(
                sources=[Source(main.path, main.facts.format, self._seek(main), self._picture.pixels)],
                targets=[Target(made, self._options())],
                threads=self._work.threads,
                max_duration=output_limit(main.facts.duration),
            ),
            frames=self._run.frames if self._run.is_exact else None,
            seconds=None if self._run.begins else main.facts.duration,
        )
        try:
            table, frames = pack_run(made, path, self._run.first, self._end)
        except Unsuitable as reason:
            raise OutputInvalid(f"{self._run.file} cannot be used: {reason}.") from reason
        made.unlink()
        self._check(table, frames)
        expected = Expected(video=1, width=self.size[0], height=self.size[1], frames=self._run.frames)
        return Output(path.name, path, "video", MEDIA_TYPE, expected)

    @property
    def _end(self) -> Fraction | None:
        return None if self._run.end is None else Fraction(self._run.end)

    def _seek(self, main: Input) -> tuple[str, ...]:
        """Options of the source: read from the key frame before the first frame on."""
        if not self._run.begins:
            return ()
        own = shifted(self._run.shift)
        if not self._run.number:
            return own
        before = _LEAD if main.facts.format in SEEKS_PAST_KEY_FRAMES else -_ROUNDED
        at = max(0.0, self._run.begins[0] + self._run.shift - before)
        return (*own, "-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{at:.6f}")

    def _options(self) -> tuple[str, ...]:
        codec = VIDEO["h264"]
        filters = [
            *self._trim_filters(),
            *deinterlace_filters(self._picture),
            scale_filter(self._picture, self.size),
            *tone_map_filters(self._picture),
            "format=yuv420p",
        ]
        keys = [f"{begin - _ROUNDED:.6f}" for begin in self._run.begins[1:]]
        forced = ",".join(keys) if self._run.begins else f"expr:gte(t,n_forced*{TARGET})"
        return (
            "-map", f"0:{self._picture.index}", "-vf", ",".join(filters),
            "-fps_mode", "passthrough" if self._run.begins else "vfr", "-enc_time_base", f"1/{TIMESCALE}",
            *codec.encoder(self._work.threads), "-crf", str(codec.crf[_QUALITY]), "-profile:v", "high",
            *_ONLY_WHERE_TOLD, *(("-force_key_frames", forced) if forced else ()), "-an", "-map_chapters", "-1",
            *FRAGMENTS, "-video_track_timescale", TIMESCALE,
        )  # fmt: skip

    def _trim_filters(self) -> list[str]:
        run = self._run
        start = [f"start={run.begins[0] - _ROUNDED:.6f}"] if run.number else []
        end = [f"end={run.end - _ROUNDED:.6f}"] if run.end is not None else []
        hold = ["setpts='if(eq(N,0),0,PTS)'"] if run.holds and not run.number else []
        return [*([f"trim={':'.join([*start, *end])}"] if start or end else []), *hold]

    def _check(self, table: SegmentTable, frames: int) -> None:
        """All frames are there, and segments of all renditions begin at the same times."""
        if not self._run.is_exact:
            return
        if frames != self._run.frames:
            raise OutputInvalid(f"{self._run.file} has {frames} frames instead of {self._run.frames}.")
        made, wanted = [float(time) for time in table.times[:-1]], self._run.begins
        if len(made) != len(wanted) or any(
            abs(one - other) > _TOLERANCE for one, other in zip(made, wanted, strict=True)
        ):
            raise OutputInvalid(f"The segments of {self._run.file} do not begin at {wanted}, but at {made}.")


def run_of(spec: Any) -> Run:
    return Run(**spec)


def paths_in_order(parts: Sequence[tuple[Run, Path]]) -> list[Path]:
    return [path for _, path in sorted(parts, key=lambda part: part[0].number)]
