"""Crops: small pictures of what was seen. They are kept raw until the finds are known, and then put on sheets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...detection.detector import Picture
from ...detection.sightings import Box, Sighting

CELL = (240, 160)  # the largest size
_MARGIN = 0.1  # of the box, on each side
_SHARP = 200.0  # the variance of a picture's second differences that is neither sharp nor blurred
# How much sharpness counts beside the confidence.
_SHARP_WEIGHT = 0.1
Crop = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CropPlace:
    """Where a crop is in the file of crops of its span."""

    span: int
    offset: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PicturedSighting(Sighting):
    """A sighting with its crop, or with its place; None if the crop was not kept."""

    crop: Crop | CropPlace | None = None
    merit: float = 0.0


def pictured(sighting: Sighting, picture: Picture) -> PicturedSighting:
    """With a crop of the picture, which it was seen in."""
    cut = _cut(picture, sighting.box)
    merit = sighting.confidence + _SHARP_WEIGHT * _sharpness(cut)
    return PicturedSighting(
        sighting.time, sighting.label, sighting.confidence, sighting.box, sighting.text, _fitted(cut), round(merit, 4)
    )


def merit_of(sighting: Sighting) -> float:
    """What was kept without a crop loses to what has one."""
    if isinstance(sighting, PicturedSighting):
        return sighting.merit - (0 if sighting.crop is not None else 10)
    return sighting.confidence


def _cut(picture: Picture, box: Box) -> Crop:
    height, width = picture.shape[:2]
    across, down = _MARGIN * box.width * width, _MARGIN * box.height * height
    left, top = int(max(0, box.x * width - across)), int(max(0, box.y * height - down))
    right = int(min(width, np.ceil((box.x + box.width) * width + across)))
    bottom = int(min(height, np.ceil((box.y + box.height) * height + down)))
    left, top = min(left, width - 1), min(top, height - 1)
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def _sharpness(cut: Crop) -> float:
    """From 0, which is blurred, to 1."""
    gray = cut[:, :, 1].astype(np.float32)  # green has most of the brightness
    if min(gray.shape) < 3:
        return 0.0
    second = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    variance = float(second.var())
    return variance / (variance + _SHARP)


def _fitted(cut: Crop) -> Crop:
    """A copy that fits into a cell. It is never enlarged."""
    height, width = cut.shape[:2]
    ratio = min(1.0, CELL[0] / width, CELL[1] / height)
    if ratio == 1.0:
        return cut.copy()
    return _shrunk(_shrunk(cut, max(1, round(height * ratio)), 0), max(1, round(width * ratio)), 1)


def _shrunk(cut: Crop, size: int, axis: int) -> Crop:
    """The means of equal ranges of rows or columns."""
    length = cut.shape[axis]
    starts = np.arange(size) * length // size
    sums = np.add.reduceat(cut.astype(np.uint32), starts, axis=axis)
    counts = np.diff(np.append(starts, length)).astype(np.uint32)
    shape = [1, 1, 1]
    shape[axis] = size
    means: Crop = (sums // counts.reshape(shape)).astype(np.uint8)
    return means
