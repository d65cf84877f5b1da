"""Finds number plates in a frame: lines of text that are written as plates are."""

import re
from collections.abc import Sequence

from ..detector import Picture
from ..sightings import Sighting
from .plate_texts import is_plate, plate_text
from .text_finder import Line
from .text_models import TextModels

_LONGEST = 960  # pixels: smaller letters are found in larger pictures, which take longer
_SHAPES = (1.3, 12.0)  # widths over heights


class PlateLooker:
    def __init__(self, models: TextModels, pattern: str) -> None:
        """`pattern` is a regular expression for the letters and digits of a plate; "": those of most countries."""
        self._models = models
        self._pattern = re.compile(pattern) if pattern else None

    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        # One that the edge of the picture cuts off would be read as another plate.
        found = self._models.finder.find(picture, _LONGEST)
        lines = [line for line in found if _has_shape(line) and line.is_inside(picture)]
        return [
            Sighting(time, "plate", score, line.box(picture), plate_text(read))
            for line, read, score in self._models.read(picture, lines)
            if is_plate(read, self._pattern)
        ]


def _has_shape(line: Line) -> bool:
    width, height = line.size
    return _SHAPES[0] * height <= width <= _SHAPES[1] * height
