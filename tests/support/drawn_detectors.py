"""A detector for tests of `detect`, which needs no extra: bright rectangles on a black picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from media_jobs.detection.detector import FrameDetector, Picture
from media_jobs.detection.sightings import Box, Sighting


class Rectangles(FrameDetector):
    """Two may be in one frame: a white one, and a gray one whose text differs in one character."""

    name = "rectangles"
    title = "Rectangles"
    things = ("rectangle", "rectangles")
    unique = True
    module = __name__

    def files(self) -> Sequence[Path]:
        return [Path(__file__).parents[1]]


class RectangleLooker:
    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        height, width = picture.shape[:2]
        seen = []
        for name, level in (("AB12CD", 255), ("AB12CE", 160)):
            rows, columns = np.nonzero(np.abs(picture[:, :, 1].astype(int) - level) < 30)
            if len(rows) < 20:
                continue
            box = Box(
                columns.min() / width,
                rows.min() / height,
                (columns.max() + 1 - columns.min()) / width,
                (rows.max() + 1 - rows.min()) / height,
            )
            seen.append(Sighting(time, "rectangle", level / 255, box, name))
        return seen


def load(threads: int) -> RectangleLooker:
    return RectangleLooker()
