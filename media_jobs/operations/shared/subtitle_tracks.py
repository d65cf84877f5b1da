"""Subtitles of a file as text, to be tracks of a video or files of their own.

They are read in a pass of their own, before anything is encoded: damaged ones cost no video, and ffmpeg need not wait
for the next line of one while it writes the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import SubtitleStream
from ..base import Work
from .time_range import Seek, output_limit

_STYLED = frozenset({"ass", "ssa"})
_TEXT = _STYLED | {"subrip", "mov_text", "webvtt", "text"}  # the others are pictures
MAX_SUBTITLES = 20


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    stream: SubtitleStream
    path: Path
    format: str  # of ffmpeg, for reading and writing

    def options(self, number: int, source: int, encoder: str) -> tuple[str, ...]:
        """Options of a target. `number`: among the subtitles of the output; `source`: of this file."""
        kinds = "+".join(self.stream.dispositions) or "0"
        return ("-map", f"{source}:0", f"-c:s:{number}", encoder, f"-disposition:s:{number}", kinds)


def text_subtitles(streams: Sequence[SubtitleStream]) -> list[SubtitleStream]:
    return [stream for stream in streams if stream.codec in _TEXT][:MAX_SUBTITLES]


def extract_subtitles(work: Work[Any], seek: Seek, seconds: float | None) -> list[SubtitleTrack]:
    """The subtitles that are text, with times from the beginning of the output. Empty if they cannot be read."""
    found = [
        SubtitleTrack(stream, work.folder / f"subtitles{number}", "ass" if stream.codec in _STYLED else "srt")
        for number, stream in enumerate(text_subtitles(work.main.facts.subtitles))
    ]
    if not found:
        return []
    targets = [
        Target(track.path, (*seek.target, "-map", f"0:{track.stream.index}", "-f", track.format)) for track in found
    ]
    source = Source(work.main.path, work.main.facts.format, seek.source)
    # What is said after the end of the picture would make the video longer.
    command = Command([source], targets, threads=work.threads, max_duration=seconds or output_limit(None))
    try:
        work.tools.ffmpeg(command, share=(0.0, 0.0), verb="Read")
    except (BadMedia, ToolFailed):
        work.tools.report("The subtitles cannot be read")
        return []
    return [track for track in found if _has_lines(track.path)]


def _has_lines(path: Path) -> bool:
    return path.exists() and any(mark in path.read_bytes() for mark in (b"-->", b"Dialogue:"))
