"""Where text is in a picture: the map of text that a model makes (PP-OCRv6), as boxes.

The model says of each pixel how likely it lies inside a line of text, shrunk towards the middle of the line. So the
outlines of the likely pixels are grown again by a share of their area over their circumference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..detector import Picture
from ..sightings import Box

_LIKELY, _SURE = 0.3, 0.5  # of a pixel, and of a box on average
_GROW = 1.6
_STEP = 32  # sides that the model takes are multiples of it
_SMALLEST = 3  # pixels
_MOST = 100  # lines of a picture, the largest: each takes time to be read
Corners = NDArray[np.float32]  # four points, clockwise, from the upper left one


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, perhaps oblique. In pixels of the picture."""

    corners: Corners
    score: float

    @property
    def size(self) -> tuple[float, float]:
        first, second, third, _ = self.corners
        return float(np.linalg.norm(second - first)), float(np.linalg.norm(third - second))

    def area(self) -> float:
        width, height = self.size
        return width * height

    def box(self, picture: Picture) -> Box:
        """The upright box around it."""
        height, width = picture.shape[:2]
        (left, top), (right, bottom) = self.corners.min(axis=0), self.corners.max(axis=0)
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        return Box(
            float(left / width), float(top / height), float((right - left) / width), float((bottom - top) / height)
        )

    def is_inside(self, picture: Picture) -> bool:
        """Whether all of it is in the picture: its end is not cut off."""
        height, width = picture.shape[:2]
        (left, top), (right, bottom) = self.corners.min(axis=0), self.corners.max(axis=0)
        return bool(left > 0 and top > 0 and right < width and bottom < height)


class TextFinder:
    def __init__(self, model: Any) -> None:
        self._model, self._input = model, model.get_inputs()[0].name

    def find(self, picture: Picture, longest: int) -> list[Line]:
        """Lines in the picture, which is made smaller first if a side is longer than `longest`."""
        height, width = picture.shape[:2]
        scale = min(1.0, longest / max(height, width))
        size = (_rounded(width * scale), _rounded(height * scale))
        blob = cv2.dnn.blobFromImage(picture, 1 / 127.5, size, (127.5, 127.5, 127.5))
        (likely,) = self._model.run(None, {self._input: blob})
        return nlargest(_MOST, _lines(likely[0, 0], width, height), key=Line.area)


def _rounded(length: float) -> int:
    return max(_STEP, round(length / _STEP) * _STEP)


def _lines(likely: NDArray[np.float32], width: int, height: int) -> Iterator[Line]:
    mask = cv2.dilate((likely > _LIKELY).astype(np.uint8), np.ones((2, 2), np.uint8))
    outlines: Sequence[Any] = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
    across, down = width / likely.shape[1], height / likely.shape[0]
    for outline in outlines:
        centre, (long, high), angle = cv2.minAreaRect(outline)
        if min(long, high) < _SMALLEST:
            continue
        score = _mean_inside(likely, cv2.boxPoints((centre, (long, high), angle)))
        if score < _SURE:
            continue
        grow = long * high * _GROW / (long + high)
        corners = cv2.boxPoints((centre, (long + grow, high + grow), angle)) * np.array([across, down], np.float32)
        yield Line(_ordered(corners), score)


def _mean_inside(likely: NDArray[np.float32], corners: Corners) -> float:
    x, y, width, height = cv2.boundingRect(corners)
    left, top = max(0, x), max(0, y)
    part = likely[top : y + height, left : x + width]
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(corners - np.array([left, top], np.float32)).astype(np.int32)], 1)
    return float(cv2.mean(part, mask)[0])


def _ordered(corners: Corners) -> Corners:
    """From the upper left one, clockwise, where the line is wider than high."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (half[np.argsort(half[:, 1], kind="stable")] for half in (by_x[:2], by_x[2:]))
    return np.stack([left[0], right[0], right[1], left[1]]).astype(np.float32)
