"""Extracts one image from a video or an image, even where the file is damaged at the wanted time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadMedia, ToolFailed, UnfitMedia
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import Facts, VideoStream
from ...ffmpeg.probing.verification import Expected
from ..base import Output, Tools
from .time_range import Seek, seek
from .video_filters import fit_size, scale_filter, tone_map_filters

LAST_SECONDS = 5.0  # of the video, in which the last frame is searched


@dataclass(frozen=True, slots=True)
class ImageFormat:
    media_type: str
    options: tuple[str, ...]
    pixels: str
    full_range: bool = False


FORMATS = {
    "jpg": ImageFormat("image/jpeg", ("-c:v", "mjpeg", "-q:v", "3"), "yuv420p", full_range=True),
    "png": ImageFormat("image/png", ("-c:v", "png"), "rgb24|rgba"),
    "webp": ImageFormat("image/webp", ("-c:v", "libwebp", "-quality", "80"), "yuv420p|yuva420p"),
}


class FrameExtractor:
    """Extracts frames of one stream as images, all of one size and format."""

    def __init__(
        self, tools: Tools, path: Path, facts: Facts, folder: Path, *, threads: int, width: int, format: str
    ) -> None:
        self.tools, self.path, self.facts, self.folder, self.threads = tools, path, facts, folder, threads
        self.stream, self.suffix, self.format = require_picture(facts), format, FORMATS[format]
        self.size = fit_size(self.stream, width=width)
        self.log = ""  # of the last attempt that failed

    def at(self, seconds: float) -> Path:
        """The frame displayed at this time; where there is none, the last frame, a key frame, or the first one."""
        last = max(0.0, (self.facts.duration or 0.0) - LAST_SECONDS)
        path = (
            self._extract("there", seek(self.facts.format, seconds))
            or self._extract("last", seek(self.facts.format, last), keep_last=True)
            or self._extract("key", Seek(("-skip_frame", "nokey")), keep_last=True)
            or self._extract("first", Seek())
        )
        if path is None:
            raise BadMedia("No picture can be read from this file: it is damaged or cut off.", log=self.log)
        return path

    def output(self, path: Path, name: str) -> Output:
        width, height = self.size
        return Output(
            f"{name}.{self.suffix}",
            path,
            "image",
            self.format.media_type,
            Expected(video=1, width=width, height=height, frames=1),
        )

    def _extract(self, name: str, seek: Seek, *, keep_last: bool = False) -> Path | None:
        """Extract one frame; None where there is none. ffmpeg's exit code does not tell."""
        path = self.folder / f"{name}.{self.suffix}"
        filters = ",".join(self.filters())
        count = () if keep_last else ("-frames:v", "1")
        chosen = ("-map", f"0:{self.stream.index}", "-vf", filters, "-fps_mode", "vfr", *count)
        target = Target(path, (*seek.target, *chosen, *self.format.options, "-f", "image2", "-update", "1"))
        source = Source(self.path, self.facts.format, seek.source, self.stream.pixels)
        command = Command([source], [target], threads=self.threads)
        try:
            self.tools.ffmpeg(command, frames=None if keep_last else 1, verb="Extracted")
        except (ToolFailed, BadMedia) as failure:
            self.log = failure.log
        return path if path.exists() and path.stat().st_size else None

    def filters(self, chosen: Sequence[str] = ()) -> list[str]:
        """Of one image. `chosen` are filters that choose frames, once they are small."""
        full = self.format.full_range
        shown = tone_map_filters(self.stream, full_range=full)
        return [
            scale_filter(self.stream, self.size, full_range=full),
            *chosen,
            *shown,
            f"format={self.format.pixels}",
        ]


def require_picture(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia("This file has no picture, only sound." if facts.audio else "This file has no picture.")
    return facts.picture
