"""The search for text in a picture, and its reading: odd pictures take neither much memory nor for ever."""

from typing import Any

import numpy as np
import pytest

from media_jobs.detection.detector import Picture
from tests.support.needs_vision import needs_vision

pytestmark = needs_vision


@pytest.fixture(scope="module")
def models() -> Any:
    from media_jobs.detection.vision.text_models import text_models

    return text_models(1)


def page(width: int, height: int, words: list[tuple[int, int, str]]) -> Picture:
    import cv2

    drawn = np.full((height, width, 3), 255, np.uint8)
    for x, y, word in words:
        cv2.putText(drawn, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return drawn


def test_of_a_page_full_of_text_the_largest_lines_are_read(models: Any) -> None:
    words = [(20 + 90 * column, 20 + 24 * row, "word") for column in range(10) for row in range(22)]
    assert len(models.finder.find(page(960, 544, words), 960)) == 100


@pytest.mark.parametrize(("height", "width"), [(2, 1280), (1, 1), (720, 2)])
def test_a_piece_of_any_shape_can_be_read(models: Any, height: int, width: int) -> None:
    from media_jobs.detection.vision.text_reader import cut_out

    [(text, score)] = models.reader.read([np.zeros((height, width, 3), np.uint8)])
    assert (text, score) == ("", 0)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    assert cut_out(np.zeros((height, width, 3), np.uint8), corners).size == height * width * 3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 4000), (720, 1280)])
def test_a_picture_of_any_shape_without_text_has_none(models: Any, height: int, width: int) -> None:
    assert not models.finder.find(np.zeros((height, width, 3), np.uint8), 960)


def test_text_on_its_side_is_found_and_set_upright(models: Any) -> None:
    upright = page(400, 200, [(60, 100, "AB 123 CD")])
    for picture in (upright, np.ascontiguousarray(np.rot90(upright, 3))):
        lines = models.finder.find(picture, 960)
        assert [text for _, text, _ in models.read(picture, lines)] == ["AB 123 CD"]


def test_nothing_is_read_where_nothing_is_found(models: Any) -> None:
    assert models.reader.read([]) == []
