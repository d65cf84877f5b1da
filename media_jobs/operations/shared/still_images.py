"""One picture out of a film or a picture, whatever is wrong with it at the place that was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadMedia, ToolFailed, UnfitMedia
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import Facts, VideoStream
from ...ffmpeg.probing.verification import Expected
from ..base import Output, Tools
from .time_range import Seek, seek, seek_option
from .video_filters import fitted, scaled, standard_range

SIGHT = 24  # frames to choose from at each place: they are held in memory
PLACES = (0.1, 0.3, 0.5, 0.7)  # of a film's length: neither the titles nor the credits
LONG = 10.0  # seconds; a shorter film is one place
LAST = 5.0  # seconds before the end to look through for the last frame


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


class Camera:
    """Takes pictures of one stream, all of one size and format."""

    def __init__(
        self, tools: Tools, path: Path, facts: Facts, folder: Path, *, threads: int, width: int, format: str
    ) -> None:
        self.tools, self.path, self.facts, self.folder, self.threads = tools, path, facts, folder, threads
        self.stream, self.suffix, self.format = picture_of(facts), format, FORMATS[format]
        self.size = fitted(self.stream, width=width)
        self.complaint = ""  # of the last attempt that failed

    def best(self) -> Path:
        """The one with most to see: black and blurred frames compress to nothing."""
        places = self._places()
        steps = [step / len(places) for step in range(len(places) + 1)]
        found = [
            path
            for number, place in enumerate(places)
            if (
                path := self._try(
                    f"place-{number}", Seek(seek_option(place)), choose=True, share=(steps[number], steps[number + 1])
                )
            )
        ]
        return max(found, key=lambda path: path.stat().st_size) if found else self.at(0.0)

    def at(self, seconds: float) -> Path:
        """The frame shown then, or the last there is: after a cut, or of a film whose length is only said."""
        last = max(0.0, (self.facts.duration or 0.0) - LAST)
        path = (
            self._try("there", seek(self.facts.format, seconds))
            or self._try("last", seek(self.facts.format, last), keep_last=True)
            or self._try("key", Seek(("-skip_frame", "nokey")), keep_last=True)
            or self._try("first", Seek())
        )
        if path is None:
            raise BadMedia("No picture can be read from this file: it is damaged or cut off.", log=self.complaint)
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

    def _places(self) -> Sequence[float]:
        duration = self.facts.duration or 0.0
        return [0.0] if duration < LONG else [share * duration for share in PLACES]

    def _try(
        self,
        name: str,
        seek: Seek,
        *,
        choose: bool = False,
        keep_last: bool = False,
        share: tuple[float, float] = (0.0, 1.0),
    ) -> Path | None:
        """None where there is no frame to be had. ffmpeg may call that a success, or not."""
        path = self.folder / f"{name}.{self.suffix}"
        filters = ",".join(self._filters(choose=choose))
        amount = () if keep_last else ("-frames:v", "1")
        chosen = ("-map", f"0:{self.stream.index}", "-vf", filters, "-fps_mode", "vfr", *amount)
        target = Target(path, (*seek.target, *chosen, *self.format.options, "-f", "image2", "-update", "1"))
        source = Source(self.path, self.facts.format, seek.source, self.stream.pixels)
        command = Command([source], [target], threads=self.threads)
        try:
            self.tools.ffmpeg(command, frames=None if keep_last else 1, share=share, verb="Took")
        except (ToolFailed, BadMedia) as failure:
            self.complaint = failure.log
        return path if path.exists() and path.stat().st_size else None

    def _filters(self, *, choose: bool) -> list[str]:
        full = self.format.full_range
        choice = [f"thumbnail=n={SIGHT}"] if choose else []
        shown = standard_range(self.stream, full_range=full)
        return [scaled(self.stream, self.size, full_range=full), *choice, *shown, f"format={self.format.pixels}"]


def picture_of(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia(
            "There is no picture in this file, only sound." if facts.audio else "There is no picture here."
        )
    return facts.picture
