"""Which frame represents a video: pictures made here, and their order."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from media_jobs.operations.shared.frame_score import POOR, score

Picture = NDArray[np.uint8]
DICE = np.random.default_rng(5)


def scene() -> Picture:
    """A slope of brightness with many sharp shapes."""
    picture = np.tile(np.linspace(40, 200, 320), (180, 1))
    for _ in range(80):
        x, y, size = DICE.integers(0, 300), DICE.integers(0, 160), DICE.integers(5, 40)
        picture[y : y + size, x : x + size] = DICE.integers(0, 256)
    return picture.astype(np.uint8)


def blurred(picture: Picture) -> Picture:
    values = picture.astype(float)
    for _ in range(60):
        for axis in (0, 1):
            values = (np.roll(values, 1, axis) + values + np.roll(values, -1, axis)) / 3
    return values.astype(np.uint8)


def title() -> Picture:
    picture = np.zeros((180, 320), np.uint8)
    picture[80:100, 100:220:4] = 255
    return picture


def test_a_clear_and_lit_picture_is_better_than_a_blurred_one_and_that_than_a_dark_one() -> None:
    clear = scene()
    order = [clear, blurred(clear), (blurred(clear) // 6).astype(np.uint8)]
    assert all(score(one) > score(other) for one, other in pairwise(order))
    assert score(clear) > 0.3


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((180, 320), np.uint8),
        np.full((180, 320), 255, np.uint8),
        np.full((180, 320), 128, np.uint8),
        DICE.integers(0, 20, (180, 320)).astype(np.uint8),
        title(),
        np.zeros((1, 1), np.uint8),
    ],
    ids=["black", "white", "grey", "noise in the dark", "title", "one pixel"],
)
def test_a_picture_with_nothing_to_see_is_poor(picture: Picture) -> None:
    assert score(picture) < POOR
