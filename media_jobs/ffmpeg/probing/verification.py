"""Whether an output is what was asked for: every packet of it is read. It costs half a percent of an encode.

Whatever ffmpeg's libraries call an error then is one: a file that lacks its end may have every stream it should have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from ...errors import BadMedia, OutputInvalid, UnfitMedia
from ..sandbox import Sandbox
from .media_facts import Facts
from .probe import Answer, ask, facts_of

_SECONDS = 30.0
_SLOWEST = 20_000_000  # bytes a second


@dataclass(frozen=True, slots=True)
class Expected:
    """What an output must turn out to be when all its packets are read. What is None is not judged."""

    duration: float | None = None
    tolerance: float = 0.5  # seconds that the duration may differ, besides 1 % of it
    video: int = 0  # how many streams of each kind; cover art is one of video
    audio: int = 0
    width: int | None = None
    height: int | None = None
    frames: int | None = None  # at least so many video packets


class _Counted(BaseModel):
    kind: str
    packets: int
    begin: float | None
    end: float | None
    backwards: int
    corrupt: int


@dataclass(frozen=True, slots=True)
class _Found:
    facts: Facts
    counted: list[_Counted]
    undecoded: list[int]
    error: str  # the last that ffmpeg's libraries told of

    def packets(self, kind: str) -> int:
        return sum(stream.packets for stream in self.counted if stream.kind == kind)

    @property
    def duration(self) -> float | None:
        begins = [stream.begin for stream in self.counted if stream.begin is not None]
        ends = [stream.end for stream in self.counted if stream.end is not None]
        return max(ends) - min(begins) if begins and ends else None


def verify(path: Path, expected: Expected, sandbox: Sandbox, *, check: Callable[[], None] = lambda: None) -> Facts:
    """The facts of an output that is as expected, or OutputInvalid that says what is not."""
    size = path.stat().st_size if path.exists() else 0
    if not size:
        raise OutputInvalid(f"{path.name} is empty.")
    seconds = _SECONDS + size / _SLOWEST
    try:
        found = _found(ask("packets", path, sandbox, check=check, seconds=seconds))
    except (BadMedia, UnfitMedia) as error:
        raise OutputInvalid(f"{path.name} cannot be read to its end: {error.detail}", log=error.log) from error
    if complaints := list(_complaints(found, expected)):
        raise OutputInvalid(f"{path.name} is not what was asked for: {'; '.join(complaints)}.")
    return found.facts


def _found(answer: Answer) -> _Found:
    counted = [_Counted.model_validate(stream) for stream in answer.said.get("counted", [])]
    return _Found(facts_of(answer.said), counted, answer.said.get("undecoded", []), answer.log.last_error)


def _complaints(found: _Found, expected: Expected) -> Iterator[str]:
    yield from _streams(found, expected)
    yield from _sizes(found.facts, expected)
    if expected.frames is not None and found.packets("video") < expected.frames:
        yield f"frames: {found.packets('video')} instead of {expected.frames}"
    if found.error:
        yield f"reading it, ffmpeg says: {found.error}"
    if expected.duration is not None:
        yield from _length(found.duration, expected.duration, expected.tolerance)


def _streams(found: _Found, expected: Expected) -> Iterator[str]:
    for kind, there, wanted in (
        ("video", len(found.facts.video), expected.video),
        ("audio", len(found.facts.audio), expected.audio),
    ):
        if there != wanted:
            yield f"{kind} streams: {there} instead of {wanted}"
    for stream in found.counted:
        if not stream.packets and stream.kind in {"video", "audio"}:
            yield f"its {stream.kind} stream is empty"
        if stream.backwards:
            yield f"the timestamps of its {stream.kind} stream go backwards"
        if stream.corrupt:
            yield f"{stream.corrupt} packets of its {stream.kind} stream are damaged"
    if found.undecoded:
        yield "its picture cannot be decoded"


def _sizes(facts: Facts, expected: Expected) -> Iterator[str]:
    picture = facts.picture
    for side, wanted in (("width", expected.width), ("height", expected.height)):
        there = getattr(picture, side, None)
        if wanted is not None and there != wanted:
            yield f"its {side} is {there} instead of {wanted}"


def _length(there: float | None, wanted: float, tolerance: float) -> Iterator[str]:
    if there is None:
        yield "its duration cannot be told"
    elif abs(there - wanted) > tolerance + wanted / 100:
        yield f"it lasts {there:.2f} seconds instead of {wanted:.2f}"
