"""The region of interest: the part of the picture in which detectors look."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from ...detection.sightings import Box
from ...ffmpeg.probing.media_facts import VideoStream

_HOW = "must be four numbers, x, y, width and height, such as 10%, 20%, 50%, 50%, inside the picture"
_NAMES = ("x", "y", "width", "height")
_LEAST = 0.01  # of the picture
Shares = tuple[float, float, float, float]


def _region(value: Any) -> Shares:
    if isinstance(value, dict) and sorted(value) == sorted(_NAMES):
        value = [value[name] for name in _NAMES]
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or len(value) != len(_NAMES):
        raise ValueError(_HOW)
    x, y, width, height = map(_share, value)
    if min(width, height) < _LEAST or max(x + width, y + height) > 1 + 1e-9:
        raise ValueError(_HOW)
    return x, y, width, height


def _share(value: Any) -> float:
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            number = float(value.strip()[:-1]) / 100
        else:
            number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(_HOW) from error
    if not 0 <= number <= 1:
        raise ValueError(_HOW)
    return round(number, 6)


_PERCENT = r"\s*\d+(\.\d+)?%?\s*"
_AS_SCHEMA = {
    "anyOf": [
        {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 4, "maxItems": 4},
        {"type": "string", "pattern": rf"^{_PERCENT}(,{_PERCENT}){{3}}$"},
    ]
}
# Shares of the picture as it is shown.
RegionShares = Annotated[Shares, BeforeValidator(_region), WithJsonSchema(_AS_SCHEMA)]


@dataclass(frozen=True, slots=True)
class Region:
    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0

    @property
    def filters(self) -> list[str]:
        if self == Region():
            return []
        return [f"crop=w=iw*{self.width:g}:h=ih*{self.height:g}:x=iw*{self.x:g}:y=ih*{self.y:g}"]

    def stream(self, whole: VideoStream) -> VideoStream:
        """The picture that is left of a stream."""
        size = {
            "width": max(1, round(whole.width * self.width)),
            "height": max(1, round(whole.height * self.height)),
        }
        return whole.model_copy(update=size)

    def in_whole(self, box: Box) -> Box:
        return Box(
            round(self.x + box.x * self.width, 5),
            round(self.y + box.y * self.height, 5),
            round(box.width * self.width, 5),
            round(box.height * self.height, 5),
        )
