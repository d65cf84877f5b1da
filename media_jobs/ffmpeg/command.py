"""ffmpeg's command line, from values that cannot be misread as options.

Every path is absolute and behind `file:`, every input's demuxer is named, and what may be opened, decoded and
allocated is limited before the first input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .demuxers import ALLOWED, MAX_PIXELS, MAX_STREAMS

# One block of memory, as ffmpeg asks for it: four frames of the largest size in its largest plain format.
_MAX_BLOCK = 1 << 30
# Seconds from one packet to the next of its stream. What leaps further was not recorded so: ffmpeg drops such
# timestamps and says so, instead of filling a gap of days with frames. An MP4 could not hold much more either.
LARGEST_LEAP = 6 * 3600
MOST_COPIES = 30 * LARGEST_LEAP  # of one frame, to keep a steady rate: ffmpeg reckons it from the same option


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    format: str  # the demuxer, as probed (Facts.format); never guessed again
    options: Sequence[str] = ()  # before -i, such as ("-ss", "12.5")
    pixels: int = 0  # of the picture that is used: it decides how much memory the command may take

    def __post_init__(self) -> None:
        if self.format not in ALLOWED:
            raise ValueError(f"{self.format!r} is no demuxer that may read a source.")

    def arguments(self, threads: int) -> Iterator[str]:
        yield from self.options
        yield from ("-protocol_whitelist", "file,pipe", "-format_whitelist", self.format, "-f", self.format)
        yield from ("-max_streams", str(MAX_STREAMS), "-max_pixels", str(MAX_PIXELS), "-threads", str(threads))
        yield from ("-i", f"file:{self.path.absolute()}")


@dataclass(frozen=True, slots=True)
class Target:
    path: Path | None  # None throws the output away (-f null), for passes that only measure
    options: Sequence[str] = ()  # a -t or -to among them stands instead of the command's `longest`

    def arguments(self, threads: int, longest: float) -> Iterator[str]:
        yield from ("-threads", str(threads))
        if not {"-t", "-to"} & set(self.options):
            yield from ("-t", f"{longest:g}")
        yield from self.options
        yield from ("-f", "null", "-") if self.path is None else (f"file:{self.path.absolute()}",)


@dataclass(frozen=True, slots=True)
class Command:
    sources: Sequence[Source]
    targets: Sequence[Target]
    filters: str = ""  # -filter_complex
    threads: int = 2
    longest: float = 24 * 3600.0  # seconds of output at most
    talkative: bool = False  # hear what filters measured, too: loudnorm and its like speak at the level "info"

    @property
    def pixels(self) -> int:
        return max((source.pixels for source in self.sources), default=0)

    def argv(self, binary: Path) -> list[str]:
        return [str(binary), *self._general(), *self._sources(), *self._targets()]

    def _general(self) -> Iterator[str]:
        # The level before each message tells errors from the rest.
        yield from ("-nostdin", "-hide_banner", "-nostats", "-y")
        yield from ("-loglevel", "level+info" if self.talkative else "level+warning")
        yield from ("-progress", "pipe:1", "-stats_period", "0.5", "-max_alloc", str(_MAX_BLOCK))
        yield from ("-dts_error_threshold", str(LARGEST_LEAP))
        yield from ("-filter_threads", str(self.threads), "-filter_complex_threads", str(self.threads))

    def _sources(self) -> Iterator[str]:
        for source in self.sources:
            yield from source.arguments(self.threads)
        if self.filters:
            yield from ("-filter_complex", self.filters)

    def _targets(self) -> Iterator[str]:
        for target in self.targets:
            yield from target.arguments(self.threads, self.longest)
