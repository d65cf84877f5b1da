"""Builds ffmpeg's command line, so that no value can be taken for an option.

Every path is absolute and behind `file:`. The demuxer of every input is named. Limits of what may be opened, decoded
and allocated stand before the first input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .demuxers import ALLOWED, MAX_PIXELS, MAX_STREAMS, OWN

# The largest block of memory that ffmpeg may allocate: four frames of the largest size in the largest raw format.
_MAX_BLOCK = 1 << 30
# The largest gap between packets of a stream, in seconds. A larger one is damage: ffmpeg drops such timestamps and
# logs it, instead of filling a gap of days with frames. An MP4 could not hold much more either.
MAX_TIMESTAMP_GAP = 6 * 3600
# The most copies of one frame to keep a steady rate. ffmpeg computes it from the same option.
MAX_FRAME_COPIES = 30 * MAX_TIMESTAMP_GAP


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    format: str  # the demuxer that the probe found (Facts.format): ffmpeg must not guess
    options: Sequence[str] = ()  # before -i, such as ("-ss", "12.5")
    pixels: int = 0  # of a frame of the video stream that is used: the memory limit depends on it

    def __post_init__(self) -> None:
        if self.format not in ALLOWED and self.format not in OWN:
            raise ValueError(f"{self.format!r} is no demuxer that may read a source.")

    def arguments(self, threads: int) -> Iterator[str]:
        yield from self.options
        yield from ("-protocol_whitelist", "file,pipe", "-format_whitelist", self.format, "-f", self.format)
        yield from ("-max_streams", str(MAX_STREAMS), "-max_pixels", str(MAX_PIXELS), "-threads", str(threads))
        yield from ("-i", f"file:{self.path.absolute()}")


@dataclass(frozen=True, slots=True)
class Target:
    path: Path | None  # None discards the output (-f null), for passes that only measure
    options: Sequence[str] = ()  # a -t or -to in them replaces the command's `max_duration`
    # Its encoded video is also decoded, for the command's filters. They know it by the number among such targets, as
    # [dec:0].
    is_decoded: bool = False

    def arguments(self, threads: int, max_duration: float) -> Iterator[str]:
        yield from ("-threads", str(threads))
        if not {"-t", "-to"} & set(self.options):
            yield from ("-t", f"{max_duration:g}")
        yield from self.options
        yield from ("-f", "null", "-") if self.path is None else (f"file:{self.path.absolute()}",)


@dataclass(frozen=True, slots=True)
class PipeTarget:
    """Samples or frames without a container, for `Toolbox.decode`. A command has one at most."""

    format: str  # of ffmpeg: "s16le", "f32le", "rawvideo"
    options: Sequence[str] = ()

    def arguments(self, threads: int, max_duration: float) -> Iterator[str]:
        yield from ("-threads", str(threads), "-t", f"{max_duration:g}", *self.options, "-f", self.format, "pipe:1")


@dataclass(frozen=True, slots=True)
class Command:
    sources: Sequence[Source]
    targets: Sequence[Target | PipeTarget]
    filters: str = ""  # -filter_complex
    threads: int = 2
    filter_threads: int | None = None  # None: as many. Filters that only look at pictures lose time by sharing them
    max_duration: float = 24 * 3600.0  # of the output, in seconds
    verbose: bool = False  # log at the level "info", at which filters such as loudnorm report what they measured

    @property
    def pixels(self) -> int:
        return max((source.pixels for source in self.sources), default=0)

    def argv(self, binary: Path) -> list[str]:
        return [str(binary), *self._general(), *self._sources(), *self._targets(), *self._decoders()]

    def _general(self) -> Iterator[str]:
        # "level" puts the level before each message.
        yield from ("-nostdin", "-hide_banner", "-nostats", "-y")
        yield from ("-loglevel", "level+info" if self.verbose else "level+warning")
        if not any(isinstance(target, PipeTarget) for target in self.targets):
            yield from ("-progress", "pipe:1", "-stats_period", "0.5")
        yield from ("-max_alloc", str(_MAX_BLOCK))
        yield from ("-dts_error_threshold", str(MAX_TIMESTAMP_GAP))
        filter_threads = str(self.filter_threads or self.threads)
        yield from ("-filter_threads", filter_threads, "-filter_complex_threads", filter_threads)

    def _sources(self) -> Iterator[str]:
        for source in self.sources:
            yield from source.arguments(self.threads)
        if self.filters:
            yield from ("-filter_complex", self.filters)

    def _targets(self) -> Iterator[str]:
        for target in self.targets:
            yield from target.arguments(self.threads, self.max_duration)

    def _decoders(self) -> Iterator[str]:
        for number, target in enumerate(self.targets):
            if isinstance(target, Target) and target.is_decoded:
                yield from ("-threads", str(self.threads), "-dec", f"{number}:0")
