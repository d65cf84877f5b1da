"""Verifies that an output is as expected, by reading every packet of it. That costs half a percent of an encode.

Any error of ffmpeg's libraries counts: a file without its end may still have all its streams.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from ...errors import BadMedia, OutputInvalid, UnfitMedia
from ..sandbox import Sandbox
from .media_facts import Facts
from .probe import Answer, parse_facts, run_child

_TIMED = frozenset({"video", "audio"})
_SECONDS = 30.0
_SLOWEST = 20_000_000  # bytes a second: larger files get more time


@dataclass(frozen=True, slots=True)
class Expected:
    """What an output must be when all its packets are read. None is not checked."""

    duration: float | None = None
    tolerance: float = 0.5  # seconds that the duration may differ, in addition to 1 %
    video: int = 0  # the number of video streams, with cover art
    audio: int = 0
    width: int | None = None
    height: int | None = None
    frames: int | None = None  # the least number of video packets
    most_frames: int | None = None


class _StreamPackets(BaseModel):
    """The JSON of child_process.StreamPackets."""

    kind: str
    packets: int
    begin: float | None
    end: float | None
    backwards: int
    corrupt: int


@dataclass(frozen=True, slots=True)
class _Contents:
    facts: Facts
    packets: list[_StreamPackets]
    undecoded: list[int]
    error: str  # the last one of ffmpeg's libraries, or ""

    def count(self, kind: str) -> int:
        return sum(stream.packets for stream in self.packets if stream.kind == kind)

    @property
    def duration(self) -> float | None:
        """Of picture and sound: a line of subtitles may be shown after their end."""
        streams = [stream for stream in self.packets if stream.kind in _TIMED] or self.packets
        begins = [stream.begin for stream in streams if stream.begin is not None]
        ends = [stream.end for stream in streams if stream.end is not None]
        return max(ends) - min(begins) if begins and ends else None


def verify(path: Path, expected: Expected, sandbox: Sandbox, *, check: Callable[[], None] = lambda: None) -> Facts:
    """The facts of the output, if it is as expected. Raises OutputInvalid with everything that is not."""
    seconds = _SECONDS + require_content(path) / _SLOWEST
    try:
        found = _contents(run_child("packets", path, sandbox, check=check, seconds=seconds))
    except (BadMedia, UnfitMedia) as error:
        raise OutputInvalid(f"{path.name} cannot be read to its end: {error.detail}", log=error.log) from error
    if complaints := list(_complaints(found, expected)):
        raise OutputInvalid(f"{path.name} is not as expected: {'; '.join(complaints)}.")
    return found.facts


def require_content(path: Path) -> int:
    """The size of an output. Raises OutputInvalid if it is empty or missing."""
    size = path.stat().st_size if path.exists() else 0
    if not size:
        raise OutputInvalid(f"{path.name} is empty.")
    return size


def _contents(answer: Answer) -> _Contents:
    packets = [_StreamPackets.model_validate(stream) for stream in answer.values.get("packets", [])]
    return _Contents(parse_facts(answer.values), packets, answer.values.get("undecoded", []), answer.log.last_error)


def _complaints(found: _Contents, expected: Expected) -> Iterator[str]:
    yield from _wrong_streams(found, expected)
    yield from _wrong_size(found.facts, expected)
    if expected.frames is not None and found.count("video") < expected.frames:
        yield f"frames: {found.count('video')} instead of {expected.frames}"
    if expected.most_frames is not None and found.count("video") > expected.most_frames:
        yield f"frames: {found.count('video')} instead of {expected.most_frames}"
    if found.error:
        yield f"ffmpeg reports: {found.error}"
    if expected.duration is not None:
        yield from _wrong_duration(found.duration, expected.duration, expected.tolerance)


def _wrong_streams(found: _Contents, expected: Expected) -> Iterator[str]:
    for kind, actual, expected_count in (
        ("video", len(found.facts.video), expected.video),
        ("audio", len(found.facts.audio), expected.audio),
    ):
        if actual != expected_count:
            yield f"{kind} streams: {actual} instead of {expected_count}"
    for stream in found.packets:
        if not stream.packets and stream.kind in _TIMED:
            yield f"its {stream.kind} stream is empty"
        if stream.backwards:
            yield f"the timestamps of its {stream.kind} stream go backwards"
        if stream.corrupt:
            yield f"{stream.corrupt} packets of its {stream.kind} stream are damaged"
    if found.undecoded:
        yield "its picture cannot be decoded"


def _wrong_size(facts: Facts, expected: Expected) -> Iterator[str]:
    picture = facts.picture
    for side, wanted in (("width", expected.width), ("height", expected.height)):
        actual = getattr(picture, side, None)
        if wanted is not None and actual != wanted:
            yield f"its {side} is {actual} instead of {wanted}"


def _wrong_duration(actual: float | None, expected: float, tolerance: float) -> Iterator[str]:
    if actual is None:
        yield "its duration is unknown"
    elif abs(actual - expected) > tolerance + expected / 100:
        yield f"it lasts {actual:.2f} seconds instead of {expected:.2f}"
