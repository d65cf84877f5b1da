"""Text subtitles of a file as WebVTT, on the time line of its renditions."""

import re
from pathlib import Path
from typing import Any

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import SubtitleStream
from ...hls.playlists import SUBTITLE_TYPE
from ..base import Output, Work
from .hls_source import shifted
from .subtitle_tracks import text_subtitles

_A_CUE = b"-->"


def subtitle_name(number: int, language: str) -> str:
    """The language is in the name of the artifact, as WebVTT has no place for it."""
    known = f".{language}" if re.fullmatch(r"[a-z]{2,3}", language) else ""
    return f"subtitles{number}{known}.vtt"


def extract_subtitles(work: Work[Any], shift: float) -> list[Output]:
    """Those that have text. Subtitles that cannot be read are no reason to have no video: then there are none."""
    found = text_subtitles(work.main.facts.subtitles)
    paths = [work.folder / subtitle_name(number, stream.language) for number, stream in enumerate(found)]
    if found:
        try:
            _convert(work, shift, found, paths)
        except (BadMedia, ToolFailed):
            work.tools.report("The subtitles cannot be read")
            return []
    return [Output(path.name, path, "subtitle", SUBTITLE_TYPE) for path in paths if _has_cues(path)]


def _has_cues(path: Path) -> bool:
    return path.exists() and _A_CUE in path.read_bytes()


def _convert(work: Work[Any], shift: float, found: list[SubtitleStream], paths: list[Path]) -> None:
    facts = work.main.facts
    targets = [
        Target(path, ("-map", f"0:{stream.index}", "-c:s", "webvtt", "-f", "webvtt"))
        for stream, path in zip(found, paths, strict=True)
    ]
    command = Command([Source(work.main.path, facts.format, shifted(shift))], targets, threads=work.threads)
    work.tools.ffmpeg(command, seconds=facts.duration, verb="Read")
