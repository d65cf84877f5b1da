"""Runs of segments of a rendition: what a worker encodes at a time. Runs follow each other without a gap.

All renditions have their key frames at the same times, so that players can change between them. Segments that are
finished are kept while the rest of the run is encoded: they can be played, and the next attempt goes on after them.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import OutputInvalid
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.demuxers import SEEKS_PAST_KEY_FRAMES
from ...ffmpeg.probing.media_facts import VideoStream
from ...ffmpeg.probing.verification import Expected
from ...hls.errors import Unsuitable
from ...hls.file_reading import reading
from ...hls.fragmented_file import Fragment, finished_fragments, read_fragments
from ...hls.fragments import MEDIA_TYPE
from ...hls.packaged import SegmentTable, pack_run
from ...hls.segments import TARGET, spaced
from ..base import Input, Output, Work
from .codecs import VIDEO
from .hls_source import Segments, shifted
from .picture_packets import is_damaged
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
_PIECE = re.compile(r"\.(\d+)-(\d+)\.mp4")  # the first segment of a piece, and the first one after it
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
    frames: int  # packets of the source: each is a frame, if `is_exact` and it is not damaged
    longest: float  # seconds, of the segments of all runs
    shift: float
    holds: bool  # whether the first picture is shown from the beginning
    is_exact: bool
    counts: Sequence[int] = ()  # the frames of each segment, if they are known exactly

    @property
    def file(self) -> str:
        """The name of what it becomes."""
        bounds = f".{self.first}-{self.first + len(self.begins)}" if self.counts else ""
        return f"{self.name}{bounds}.mp4"

    def cut(self, first: int, last: int) -> "Run":
        """Some of its segments, by their places. The frames must be known."""
        counts = self.counts[first:last]
        end = self.begins[last] if last < len(self.begins) else self.end
        return replace(
            self, begins=self.begins[first:last], end=end, first=self.first + first, counts=counts, frames=sum(counts)
        )

    def after(self, pieces: Collection[str]) -> "Run":
        """What is left to encode when there are pieces with these names."""
        ends = [int(found[2]) for name in pieces if (found := _PIECE.search(name))]
        return self.cut(max(ends) - self.first, len(self.begins)) if ends else self

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
            frames, round(segments.longest, 3), shift,
            holds, segments.is_exact, segments.frames[first:last] if segments.is_exact else (),
        )  # fmt: skip


def _bounds(begins: Sequence[float]) -> list[int]:
    """The segments with which runs begin."""
    second = next((at for at, begin in enumerate(begins) if begin >= begins[0] + _FIRST - 1), None)
    if second is None:
        return [0]
    return [0, *(second + at for at in spaced(np.array(begins[second:]), _LENGTH))]


class RunEncoder:
    """Encodes what is left of a run: all of it, or what earlier attempts have not kept."""

    def __init__(self, work: Work[Any], picture: VideoStream, run: Run) -> None:
        self._work, self._picture, self._whole = work, picture, run
        self._run = run.after(work.checkpoints.names) if work.checkpoints else run
        self.size = even_size(fit_size(picture, height=run.height))
        self._encoded = work.folder / "encoded.mp4"
        self._kept = self._kept_bytes = 0  # how many segments, and where the others begin in the encoded file
        self._is_doubtful = False  # frames are missing: no further segment is kept before the end

    def encode(self) -> list[Output]:
        """Returns what is not kept yet."""
        if self._whole.begins and not self._run.begins:
            return []
        main, run = self._work.main, self._run
        log = self._work.tools.ffmpeg(
            Command(
                sources=[Source(main.path, main.facts.format, self._seek(main), self._picture.pixels)],
                targets=[Target(self._encoded, self._options())],
                threads=self._work.threads,
                max_duration=output_limit(main.facts.duration),
            ),
            frames=run.frames if run.is_exact else None,
            seconds=None if run.begins else main.facts.duration,
            share=(1 - len(run.begins) / len(self._whole.begins) if run.begins else 0.0, 1.0),
            look=self._keep_finished if self._work.checkpoints and run.counts else None,
        )
        with self._as_invalid(), reading(self._encoded) as (read, size):
            left = list(read_fragments(read, size, self._kept_bytes))
        rest = run.cut(self._kept, len(run.begins)) if run.counts else run
        damaged = is_damaged(log)
        outputs = [self._pack(rest, left, damaged=damaged)] if left or not self._kept or rest.begins else []
        self._encoded.unlink()
        return outputs

    def _keep_finished(self) -> None:
        """Keep the segments that ffmpeg has finished since the last look."""
        if self._work.checkpoints is None or self._is_doubtful or not self._encoded.exists():
            return
        with reading(self._encoded) as (read, size):
            finished = finished_fragments(read, size, self._kept_bytes)
        if finished:
            try:
                piece = self._pack(self._run.cut(self._kept, self._kept + len(finished)), finished)
            except OutputInvalid:
                self._is_doubtful = True  # what ffmpeg has written to its log by the end decides
                return
            self._work.checkpoints.keep(piece)
            piece.path.unlink(missing_ok=True)
            self._kept, self._kept_bytes = self._kept + len(finished), finished[-1].data_end

    def _pack(self, run: Run, fragments: Sequence[Fragment], *, damaged: bool = False) -> Output:
        path, end = self._work.folder / run.file, None if run.end is None else Fraction(run.end)
        with self._as_invalid():
            table, frames = pack_run(self._encoded, fragments, path, run.first, end)
        if run.is_exact and not damaged:
            _check(run, table, frames)
        elif frames < run.frames * _KEPT:
            raise OutputInvalid(f"{run.file} has {frames} frames, and its source has {run.frames}.")
        expected = Expected(video=1, width=self.size[0], height=self.size[1], frames=frames)
        return Output(path.name, path, "video", MEDIA_TYPE, expected)

    @contextmanager
    def _as_invalid(self) -> Iterator[None]:
        try:
            yield
        except Unsuitable as reason:
            raise OutputInvalid(f"{self._run.file} cannot be used: {reason}.") from reason

    def _seek(self, main: Input) -> tuple[str, ...]:
        """Options of the source: read from the key frame before the first frame on."""
        if not self._run.begins:
            return ()
        own = shifted(self._run.shift)
        if not self._run.first:
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
            # Without it ffmpeg writes a quarter of a megabyte at a time, and finished segments wait for that.
            *FRAGMENTS, "-flush_packets", "1", "-video_track_timescale", TIMESCALE,
        )  # fmt: skip

    def _trim_filters(self) -> list[str]:
        run = self._run
        start = [f"start={run.begins[0] - _ROUNDED:.6f}"] if run.first else []
        end = [f"end={run.end - _ROUNDED:.6f}"] if run.end is not None else []
        hold = ["setpts='if(eq(N,0),0,PTS)'"] if run.holds and not run.first else []
        return [*([f"trim={':'.join([*start, *end])}"] if start or end else []), *hold]


def _check(run: Run, table: SegmentTable, frames: int) -> None:
    """All frames are there, and segments of all renditions begin at the same times."""
    if frames != run.frames:
        raise OutputInvalid(f"{run.file} has {frames} frames instead of {run.frames}.")
    made, wanted = [float(time) for time in table.times[:-1]], run.begins
    if len(made) != len(wanted) or any(
        abs(one - other) > _TOLERANCE for one, other in zip(made, wanted, strict=True)
    ):
        raise OutputInvalid(f"The segments of {run.file} do not begin at {wanted}, but at {made}.")


def run_of(spec: Any) -> Run:
    return Run(**spec)


def pieces_in_order(pieces: Iterable[str]) -> list[str]:
    """The names of the pieces of a run, as they follow each other. One without bounds is the whole run."""
    return sorted(pieces, key=lambda name: int(found[1]) if (found := _PIECE.search(name)) else 0)
