"""Finds number plates in a frame: lines of text that are written as plates are."""

import re
from collections.abc import Sequence

from ..detector import Picture
from ..sightings import Sighting
from .plate_texts import is_plate, plate_text
from .search_size import longest_side
from .text_finder import Line
from .text_models import TextModels

_SHAPES = (1.3, 12.0)  # widths over heights


class PlateLooker:
    def __init__(self, models: TextModels, pattern: str, max_fps: float) -> None:
        """`pattern` is a regular expression for the letters and digits of a plate; "": those of most countries."""
        self._models, self._max_fps = models, max_fps
        self._pattern = re.compile(pattern) if pattern else None

    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        # One that the edge of the picture cuts off would be read as another plate.
        found = self._models.finder.find(picture, longest_side(time, self._max_fps))
        lines = [line for line in found if _has_shape(line) and line.is_inside(picture)]
        return [
            Sighting(time, "plate", score, line.box(picture), plate_text(read))
            for line, read, score in self._models.read(picture, lines)
            if is_plate(read, self._pattern)
        ]


def _has_shape(line: Line) -> bool:
    width, height = line.size
    return _SHAPES[0] * height <= width <= _SHAPES[1] * height
