"""Finds and reads all text in a frame."""

from collections.abc import Sequence

from ..detector import Picture
from ..sightings import Sighting
from .search_size import longest_side
from .text_models import TextModels


class TextLooker:
    def __init__(self, models: TextModels, max_fps: float) -> None:
        self._models, self._max_fps = models, max_fps

    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        lines = self._models.finder.find(picture, longest_side(time, self._max_fps))
        return [
            Sighting(time, "text", score, line.box(picture), text)
            for line, read, score in self._models.read(picture, lines)
            if (text := " ".join(read.split()))
        ]
