"""ffmpeg's command line, from values that cannot be misread as options.

Every path is absolute and behind `file:`, every input's demuxer is named, and what may be opened, decoded and
allocated is limited before the first input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    format: str  # the demuxer, as probed; never guessed again
    options: Sequence[str] = ()  # before -i, such as ("-ss", "12.5")


@dataclass(frozen=True, slots=True)
class Target:
    path: Path | None  # None throws the output away (-f null), for passes that only measure
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Command:
    sources: Sequence[Source]
    targets: Sequence[Target]
    filters: str = ""  # -filter_complex
    threads: int = 2
    longest: float = 24 * 3600.0  # seconds of output at most: a gap in timestamps can ask for years
