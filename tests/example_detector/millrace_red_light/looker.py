"""What runs in the sandboxed helper process. A model would be loaded in `load`."""

from collections.abc import Sequence

import numpy as np

from media_jobs.detection.plugin_api import Box, Looker, Picture, Sighting

_BRIGHT, _DARK = 180, 90
_LEAST = 0.001  # of the picture


class RedLooker:
    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        """`picture` has rows, columns, and blue, green and red. Places are shares of its width and height."""
        blue, green, red = np.moveaxis(picture, 2, 0)
        is_red = (red > _BRIGHT) & (green < _DARK) & (blue < _DARK)
        if is_red.mean() < _LEAST:
            return []
        rows, columns = np.nonzero(is_red)
        height, width = is_red.shape
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        filled = len(rows) / ((right - left) * (bottom - top))  # how much of the box is red
        box = Box(left / width, top / height, (right - left) / width, (bottom - top) / height)
        return [Sighting(time, "red light", float(filled), box)]


def load(threads: int) -> Looker:
    return RedLooker()
