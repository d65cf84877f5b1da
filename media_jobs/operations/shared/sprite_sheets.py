"""Takes pictures from a video at steady intervals and puts them on sheets: from key frames where there are enough.

Packets that are not needed are dropped before the decoder. So a film of one hour costs little more than reading it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, PipeTarget, Source, Target
from ...ffmpeg.probing.media_facts import Facts
from ..base import Tools
from .still_images import FORMATS, require_picture
from .time_range import count_from_file, is_duration_estimated, output_limit
from .video_filters import MAX_SIDE, even_size, fit_size, scale_filter, tone_map_filters

MAX_PICTURES = 3000
_PER_SHEET = 100
_USUAL = 10.0  # seconds
_IN_SHORT_VIDEOS = 100  # pictures, if that is at least a second for each
_FEWEST = 8  # pictures that a short video needs
_FILLED = 0.8  # the share of intervals that must have a key frame
_JPEG = ("-c:v", "mjpeg", "-q:v", "5", "-f", "image2")
_TIME = re.compile(r"pts_time:(-?[\d.]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Spacing:
    """`interval`: seconds between pictures. `needed`: key frames must not be farther apart, or all is decoded."""

    interval: float
    needed: float

    @classmethod
    def of(cls, interval: float | None, duration: float | None) -> "Spacing":
        if interval is not None:
            return cls(interval, interval)
        if duration is None:
            return cls(_USUAL, _USUAL)
        usual = max(_USUAL, duration / MAX_PICTURES)
        return cls(min(usual, max(1.0, duration / _IN_SHORT_VIDEOS)), min(usual, max(0.5, duration / _FEWEST)))

    def is_met(self, times: Sequence[float], duration: float | None) -> bool:
        """Whether most intervals of the needed length have a picture."""
        length = duration or (times[-1] if times else 0.0)
        cells = max(1, math.floor(length / self.needed))
        return len({math.floor(time / self.needed) for time in times}) >= _FILLED * cells


@dataclass(frozen=True, slots=True)
class Layout:
    picture: tuple[int, int]
    columns: int
    rows: int

    @property
    def pictures(self) -> int:
        return self.columns * self.rows

    @property
    def size(self) -> tuple[int, int]:
        return self.columns * self.picture[0], self.rows * self.picture[1]


@dataclass(frozen=True, slots=True)
class Pictures:
    sheets: Sequence[Path]
    times: Sequence[float]  # of the pictures, in seconds
    layout: Layout
    interval: float
    message: str = ""  # why some are missing


class SheetMaker:
    def __init__(
        self, tools: Tools, path: Path, facts: Facts, folder: Path, *, threads: int, width: int, columns: int,
        spacing: Spacing, duration: float | None,
    ) -> None:  # fmt: skip
        self.tools, self.path, self.facts, self.folder, self.threads = tools, path, facts, folder, threads
        self.stream, self.spacing, self.duration = require_picture(facts), spacing, duration
        self.layout = self._layout(width, columns)
        self.log = ""

    def make(self) -> Pictures:
        """Raises BadMedia if there is no picture."""
        interval = self.spacing.interval
        made = self._read("storyboard", _key_frames_each(interval), [], share=(0.0, 0.5))
        known = None if is_duration_estimated(self.facts) else self.duration
        if made is None or not self.spacing.is_met(made.times, known):
            every = f"select='isnan(prev_selected_t)+gt(floor(t/{interval:g}),floor(prev_selected_t/{interval:g}))'"
            # Frames that no other frame needs are not decoded: one of the others is near enough.
            decoded = self._read("storyboard-all", ("-skip_frame", "noref"), [every], share=(0.5, 1.0))
            made = decoded or made
        if made is None:
            raise BadMedia("No picture can be read from this file: it is damaged or cut off.", log=self.log)
        return made

    def _layout(self, width: int, columns: int) -> Layout:
        picture = even_size(fit_size(self.stream, width=width, height=2 * width))
        count = MAX_PICTURES if self.duration is None else math.ceil(self.duration / self.spacing.interval) or 1
        columns = min(columns, count)
        rows = min(max(1, _PER_SHEET // columns), MAX_SIDE // picture[1], math.ceil(count / columns))
        return Layout(picture, columns, rows)

    def _read(
        self, name: str, source: Sequence[str], chosen: Sequence[str], share: tuple[float, float]
    ) -> Pictures | None:
        """Make all sheets; None if there is no picture."""
        times = self.folder / f"{name}.txt"
        width, height = self.layout.size
        filters = [
            *chosen,
            scale_filter(self.stream, self.layout.picture, full_range=True),
            *tone_map_filters(self.stream, full_range=True),
            f"format={FORMATS['jpg'].pixels}",
            "metadata=mode=add:key=at:value=1",  # frames without metadata are not printed
            f"metadata=mode=print:file={times.name}",
            "split[pictures][counted]",
        ]
        graph = (
            f"[0:{self.stream.index}]{','.join(filters)};[pictures]tile={self.layout.columns}x{self.layout.rows}[sheets];"
            "[counted]crop=2:2,format=gray[count]"
        )
        passed = ("-fps_mode", "passthrough")
        most = math.ceil(MAX_PICTURES / self.layout.pictures)
        options = (*count_from_file(self.facts, self.stream), *source)
        command = Command(
            [Source(self.path, self.facts.format, options, max(self.stream.pixels, width * height))],
            [
                Target(
                    self.folder / f"{name}-%03d.jpg", ("-map", "[sheets]", *passed, "-frames:v", str(most), *_JPEG)
                ),
                # Sheets come too seldom to tell the progress: four bytes for each picture do.
                PipeTarget("rawvideo", ("-map", "[count]", *passed, "-frames:v", str(MAX_PICTURES))),
            ],
            filters=graph,
            threads=self.threads,
            max_duration=output_limit(self.duration),
        )
        message = self._run(command, share)
        return self._found(name, times, message)

    def _run(self, command: Command, share: tuple[float, float]) -> str:
        """Returns why ffmpeg could not read the file to its end, or ""."""
        count = math.ceil(self.duration / self.spacing.interval) if self.duration else None
        try:
            self.tools.decode(command, lambda data: None, unit=4, frames=count or 1, share=share, verb="Drew")
        except (BadMedia, ToolFailed) as failure:
            self.log = failure.log
            return failure.detail
        return ""

    def _found(self, name: str, times: Path, message: str) -> Pictures | None:
        sheets = sorted(self.folder.glob(f"{name}-[0-9]*.jpg"))
        found = [float(time) for time in _TIME.findall(times.read_text())] if times.exists() else []
        found = found[: len(sheets) * self.layout.pictures]
        if not found:
            return None
        return Pictures(sheets, found, self.layout, self.spacing.interval, message)


def _key_frames_each(seconds: float) -> tuple[str, ...]:
    """Drop all packets but the first key frame of each interval: ld(0) is when the next interval begins."""
    next_one = f"st(0,(floor(pts*tb/{seconds:g})+1)*{seconds:g})"
    wanted = "key*(not(ld(1))+gte(pts*tb,ld(0)))"
    return ("-bsf:v", f"noise=drop='if({wanted},st(1,1)*0+{next_one}*0,1)'")
