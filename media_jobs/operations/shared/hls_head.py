"""The beginning of an HLS rendition, made before all else, so that a long film plays while the rest is made.

Copies and sound are made again as a whole. ffmpeg makes the same bytes of the same beginning, but for what stands at
the end: so the last segment is left out.
"""

from typing import Any

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.probing.media_facts import VideoStream
from ...hls.errors import Unsuitable
from ..base import Output, Work
from .hls_sounds import encode_sounds
from .hls_source import Copy, check_picture, file_begin, plays_as_it_is

HEAD = "head"
_SECONDS = 20.0
_LONG = 60.0  # a shorter film is made in a moment


def is_worth_a_head(work: Work[Any]) -> bool:
    """Whether the film is long, and does not play as it is."""
    facts = work.main.facts
    if facts.duration is None or facts.duration < _LONG:
        return False
    try:
        return not plays_as_it_is(work)
    except Unsuitable:
        return bool(facts.audio)


def make_head(work: Work[Any], picture: VideoStream) -> list[Output]:
    """Empty if it cannot be made: then the film plays later."""
    try:
        copies, to_encode = _copy(work, picture)
        numbers = [work.main.facts.audio.index(sound) for sound in to_encode]
        return [*copies, *encode_sounds(work, numbers, file_begin(work), head=_SECONDS)]
    except (BadMedia, ToolFailed, Unsuitable):
        return []


def _copy(work: Work[Any], picture: VideoStream) -> tuple[list[Output], list[Any]]:
    """The copies, and the sounds that must be encoded."""
    try:
        check_picture(picture)
        made = Copy(work, picture, head=_SECONDS).make()
    except Unsuitable:
        return [], list(work.main.facts.audio)
    return made.copies, made.sounds
