"""Finds and reads all text in a frame."""

from collections.abc import Sequence

from ..detector import Picture
from ..sightings import Sighting
from .text_models import TextModels

_LONGEST = 960  # pixels: smaller letters are found in larger pictures, which take longer


class TextLooker:
    def __init__(self, models: TextModels) -> None:
        self._models = models

    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        lines = self._models.finder.find(picture, _LONGEST)
        return [
            Sighting(time, "text", score, line.box(picture), text)
            for line, read, score in self._models.read(picture, lines)
            if (text := " ".join(read.split()))
        ]
