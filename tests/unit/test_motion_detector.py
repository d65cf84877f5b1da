"""The detector `motion` between two pictures: noise, exposure and traces are no motion."""

import numpy as np
import pytest
from numpy.typing import NDArray

from media_jobs.detection.detector import Picture
from media_jobs.detection.motion import load
from media_jobs.detection.sightings import Box

WIDTH, HEIGHT = 640, 360
Light = NDArray[np.float64]


def scenery(seed: int) -> Light:
    """Soft blobs of every size."""
    dice = np.random.default_rng(seed)
    sizes = ((4, 3), (8, 6), (32, 18), (64, 36))
    layers = [
        np.kron(dice.standard_normal((rows, columns)), np.ones((HEIGHT // rows, WIDTH // columns)))
        for columns, rows in sizes
    ]
    found: Light = 110 + 20 * np.sum(layers, axis=0)
    return found


def picture(light: Light, noise: float = 0.0, seed: int = 0) -> Picture:
    noisy = light + noise * np.random.default_rng(seed).standard_normal(light.shape)
    return np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def with_square(light: Light, x: int, y: int, level: float = 250.0, side: int = 40) -> Light:
    drawn = light.copy()
    drawn[y : y + side, x : x + side] = level
    return drawn


def boxes(now: Picture, before: Picture | None) -> list[Box]:
    found = load(threads=1).look(now, before, 1.0)
    assert all(0.5 <= each.confidence <= 1 and each.time == 1.0 for each in found)
    return [each.box for each in found]


def test_the_first_frame_shows_no_motion() -> None:
    assert boxes(picture(scenery(1)), None) == []


@pytest.mark.parametrize("noise", [0.0, 5.0, 20.0])
@pytest.mark.parametrize("gain", [1.0, 0.8, 1.2])
@pytest.mark.parametrize("light", [1.0, 0.2])
def test_a_still_scene_does_not_move(noise: float, gain: float, light: float) -> None:
    """Not even with noise, when the camera changes its exposure, and at night."""
    scene = scenery(2) * light
    assert boxes(picture(scene * gain, noise, 1), picture(scene, noise, 2)) == []


@pytest.mark.parametrize("noise", [0.0, 10.0])
@pytest.mark.parametrize("gain", [1.0, 0.8, 1.1])
def test_what_has_moved_is_found_where_it_is(noise: float, gain: float) -> None:
    scene = scenery(3)
    before, now = with_square(scene, 100, 100), with_square(scene, 400, 200)
    [box] = boxes(picture(now * gain, noise, 1), picture(before, noise, 2))
    assert box.x * WIDTH == pytest.approx(400, abs=8)
    assert box.y * HEIGHT == pytest.approx(200, abs=8)
    assert (box.width * WIDTH, box.height * HEIGHT) == pytest.approx((40, 40), abs=12)


def test_two_that_move_apart_from_each_other_are_two() -> None:
    scene = scenery(4)
    before = with_square(with_square(scene, 50, 50), 500, 250, 20.0)
    now = with_square(with_square(scene, 60, 50), 490, 250, 20.0)
    found = sorted(boxes(picture(now), picture(before)), key=lambda box: box.x)
    assert [round(box.x * WIDTH, -2) for box in found] == [0, 500]


def test_what_has_left_is_not_seen() -> None:
    scene = scenery(5)
    assert boxes(picture(scene), picture(with_square(scene, 100, 100))) == []


def test_a_speck_is_no_motion() -> None:
    scene = scenery(6)
    assert boxes(picture(with_square(scene, 100, 100, side=3)), picture(scene)) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (500, 2, 3), (33, 17, 3), (2160, 3840, 3)])
def test_pictures_of_every_size(shape: tuple[int, int, int]) -> None:
    dark, bright = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    assert boxes(bright, dark) == []
    assert boxes(dark[:1], dark) == [] or shape[0] == 1
