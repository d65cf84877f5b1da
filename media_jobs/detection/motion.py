"""The detector `motion`: what moves, by the difference between a frame and the sampled frame before it.

Both are made small, which averages noise away. What changes everywhere, such as the exposure, is taken out. What is
left must be stronger than the noise of these two frames, and more than a speck.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .detector import FrameDetector, Picture
from .sightings import Box, Sighting

_CELLS = 160  # of the longer side: a cell is the mean of its pixels
_BLOCK, _REACH = 4, 2  # cells, and blocks: what moves so near to each other is one thing, such as two ends of a car
_LEAST = 10.0  # levels of 255: compression changes the cells of a still picture by less, even in poor quality
_NOISES = 5.0  # times the standard deviation of the noise: less than one cell in a million exceeds that
_FEWEST = 8  # cells, of the 14,400 of a wide picture
_TRACE = 0.5  # where the outline was twice as clear before, something has left
_FITS = 3
_EDGE = 0.3  # of the step at an edge that both frames have: compression changes edges most
_UNEVEN = 0.5  # of a change of the exposure: it is not the same for all, least of all for what is white already

Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Motion(FrameDetector):
    name = "motion"
    title = "Motion"
    things = ("movement", "movements")
    module: ClassVar[str] = __name__
    reach: ClassVar[float] = 4.0  # what crosses the picture in a second is far away in the next frame


class MotionLooker:
    def look(self, picture: Picture, before: Picture | None, time: float, /) -> Sequence[Sighting]:
        if before is None or picture.shape != before.shape:
            return []
        now, as_it_was = _cells(picture), _cells(before)
        earlier = _as_exposed(as_it_was, now)
        change = np.abs(now - earlier)
        noise = 1.4826 * float(np.median(change))  # its standard deviation
        least = max(_LEAST, _NOISES * noise) + _UNEVEN * np.abs(earlier - as_it_was)
        least += _EDGE * np.minimum(_steps(now), _steps(earlier))
        return [
            Sighting(time, Motion.name, _confidence(change[area], least[area]), _box(area))
            for area in _areas(_without_specks(change > least))
            if not _is_trace(area, now, earlier)
        ]


def load(threads: int) -> MotionLooker:
    return MotionLooker()


def _cells(picture: Picture) -> Cells:
    height, width = picture.shape[:2]
    side = max(1, round(max(height, width) / _CELLS))
    rows, columns = max(1, height // side), max(1, width // side)
    cut = picture[: rows * side, : columns * side]
    # The rows of a cell first: numpy adds long rows fast, and short ones slowly.
    added = cut.reshape(rows, min(side, height), -1).sum(axis=1, dtype=np.uint32)
    sums = added.reshape(rows, columns, -1).sum(axis=2, dtype=np.uint32)
    means: Cells = sums.astype(np.float32) / np.float32(cut.size / sums.size)
    return means


def _as_exposed(cells: Cells, like: Cells) -> Cells:
    """The cells as they would look with the exposure of the others: what most of them have in common."""
    kept = np.ones(cells.shape, bool)
    found = cells
    for _ in range(_FITS):
        one, other = cells[kept], like[kept]
        spread = float(one.var())
        gain = float(((one - one.mean()) * (other - other.mean())).mean()) / spread if spread > 1 else 1.0
        gain = gain if 0.5 < gain < 2 else 1.0
        found = np.float32(gain) * (cells - one.mean()) + other.mean()
        away = np.abs(like - found)
        kept = away <= max(1.0, 2.5 * float(np.median(away)))
    return found


def _steps(cells: Cells) -> Cells:
    """The largest difference between each cell and those beside, above and below it."""
    found = np.zeros_like(cells)
    for axis in (0, 1):
        step = np.abs(np.diff(cells, axis=axis))
        for side in (slice(1, None), slice(None, -1)):
            there = (side,) if axis == 0 else (slice(None), side)
            found[there] = np.maximum(found[there], step)
    return found


def _without_specks(mask: Mask) -> Mask:
    """Those cells that have a neighbour."""
    framed = np.pad(mask, 1)
    return mask & (framed[:-2, 1:-1] | framed[2:, 1:-1] | framed[1:-1, :-2] | framed[1:-1, 2:])


def _areas(mask: Mask) -> Iterator[Mask]:
    """The cells of each thing that moves."""
    rows, columns = mask.shape
    padded = np.pad(mask, ((0, -rows % _BLOCK), (0, -columns % _BLOCK)))
    blocks = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).any(axis=(1, 3))
    steps = range(-_REACH, _REACH + 1)
    left = {(int(row), int(column)) for row, column in np.argwhere(blocks)}
    while left:
        group = np.zeros(blocks.shape, bool)
        reached = [left.pop()]
        while reached:
            row, column = reached.pop()
            group[row, column] = True
            near = {(row + down, column + right) for down in steps for right in steps} & left
            left -= near
            reached += near
        area = mask & group.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[:rows, :columns]
        if int(area.sum()) >= _FEWEST:
            yield area


def _is_trace(area: Mask, now: Cells, earlier: Cells) -> bool:
    """Whether something has been there, and is there no more: its outline shows in the frame before."""
    return _outline(area, now) < _TRACE * _outline(area, earlier)


def _outline(area: Mask, cells: Cells) -> float:
    """How much the cells on both sides of the area's edge differ."""
    down, right = area[1:] != area[:-1], area[:, 1:] != area[:, :-1]
    steps = np.abs(np.diff(cells, axis=0))[down].sum() + np.abs(np.diff(cells, axis=1))[right].sum()
    return float(steps)


def _confidence(change: Cells, least: Cells) -> float:
    """0.5 where the change is just enough, and 0.75 for three times that."""
    return round(float((change / (change + least)).mean()), 3)


def _box(area: Mask) -> Box:
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    height, width = area.shape
    return Box(
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1 - columns[0]) / width),
        float((rows[-1] + 1 - rows[0]) / height),
    )
