"""Twelve short films of different nature, made by numbers: what is easy for an encoder in one is hard in another."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .jobs_live import FFMPEG

WIDTH, HEIGHT, RATE, SECONDS = 640, 360, 25, 6
FRAMES = RATE * SECONDS
Plane = npt.NDArray[np.float64]

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)


def _scenery(seed: int, height: int = HEIGHT, width: int = WIDTH, smoothness: float = 1.3) -> Plane:
    """A picture with the spectrum of natural ones: 1/f."""
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((height, width)))
    distance = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None, :] * width)
    picture = np.fft.irfft2(noise / np.maximum(distance, 1.0) ** smoothness, (height, width))
    found: Plane = 128 + 45 * (picture - picture.mean()) / picture.std()
    return found


def _glyphs(seed: int, height: int, width: int) -> Plane:
    """Lines of made-up letters of 5 by 7 dots, twice as large, dark on light."""
    dice = np.random.default_rng(seed)
    alphabet = dice.random((40, 7, 5)) < 0.45
    page = np.full((height, width), 235.0)
    for top in range(6, height - 16, 22):
        for left in range(8, width - 12, 13):
            if dice.random() < 0.82:
                letter = alphabet[dice.integers(40)].repeat(2, 0).repeat(2, 1)
                page[top : top + 14, left : left + 10][letter] = 25
    return page


def noise() -> Iterator[Plane]:
    dice = np.random.default_rng(1)
    for _ in range(FRAMES):
        yield 128 + 40 * dice.standard_normal((HEIGHT, WIDTH))


def text() -> Iterator[Plane]:
    page = _glyphs(2, HEIGHT * 3, WIDTH)
    for number in range(FRAMES):
        yield page[number * 2 : number * 2 + HEIGHT]


def motion() -> Iterator[Plane]:
    wide = _scenery(3, HEIGHT, 4096, 1.1)
    for number in range(FRAMES):
        yield np.roll(wide, -number * 11, 1)[:, :WIDTH]


def cartoon() -> Iterator[Plane]:
    for number in range(FRAMES):
        t = number / RATE
        frame = np.where(_Y > 250, 90.0, 200.0)
        for place, grey in enumerate((40.0, 150.0, 225.0, 70.0)):
            x = 320 + 240 * np.sin(t * (0.7 + 0.3 * place) + place)
            y = 180 + 120 * np.cos(t * (0.9 + 0.2 * place) + 2 * place)
            away = np.hypot(_X - x, _Y - y)
            frame[away < 48 + 8 * place] = 16
            frame[away < 44 + 8 * place] = grey
        yield frame


def gradients() -> Iterator[Plane]:
    for number in range(FRAMES):
        t = number / RATE
        yield 128 + 100 * np.sin(_X / 210 + t * 0.8) * np.cos(_Y / 170 - t * 0.5)


def grain() -> Iterator[Plane]:
    wide, dice = _scenery(4, HEIGHT, 1024), np.random.default_rng(5)
    for number in range(FRAMES):
        yield wide[:, number : number + WIDTH] + 7 * dice.standard_normal((HEIGHT, WIDTH))


def fade() -> Iterator[Plane]:
    one, other = _scenery(6), _scenery(7)
    for number in range(FRAMES):
        share = min(1.0, number / 100)
        light = min(1.0, (FRAMES - number) / 40)
        yield light * ((1 - share) * one + share * other)


def screen() -> Iterator[Plane]:
    page, window = _glyphs(8, HEIGHT, WIDTH), _glyphs(9, 160, 240)
    for number in range(FRAMES):
        frame = page.copy()
        x, y = 40 + min(number, 60) * 4, 60 + min(number, 60)
        frame[y - 14 : y + 162, x - 2 : x + 242] = 60
        frame[y : y + 160, x : x + 240] = window
        pointer = (number * 3) % 600
        frame[200:212, pointer : pointer + 8] = 0
        yield frame


def dark() -> Iterator[Plane]:
    wide, dice = _scenery(10, HEIGHT, 1024), np.random.default_rng(11)
    for number in range(FRAMES):
        picture = 28 + 0.22 * (wide[:, number * 2 : number * 2 + WIDTH] - 128)
        yield picture + 2.5 * dice.standard_normal((HEIGHT, WIDTH))


def water() -> Iterator[Plane]:
    bed = _scenery(12)
    for number in range(FRAMES):
        t = number / RATE
        dx = 5 * np.sin(_Y / 9 + 5 * t) + 3 * np.sin((_X + _Y) / 14 - 4 * t)
        dy = 4 * np.cos(_X / 11 - 4.5 * t)
        yield _sampled(bed, _Y + dy, _X + dx) + 18 * np.sin((_X + 2 * _Y) / 13 + 6 * t)


def zoom() -> Iterator[Plane]:
    large = _scenery(13, 1024, 1024)
    for number in range(FRAMES):
        scale = 1.4 * 0.992**number
        yield _sampled(large, 512 + (_Y - HEIGHT / 2) * scale, 512 + (_X - WIDTH / 2) * scale)


def pattern() -> Iterator[Plane]:
    for number in range(FRAMES):
        t = number / RATE
        rings = np.sin(((_X - 320 - 40 * np.sin(t)) ** 2 + (_Y - 180) ** 2) / 900)
        bars = np.sign(np.sin(_X / (4 + _Y / 60) + 3 * t))
        yield 128 + np.where(_Y < 240, 90 * rings, 70 * bars)


def _sampled(picture: Plane, y: Plane, x: Plane) -> Plane:
    """Bilinear, and beyond its edges the picture again."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    height, width = picture.shape

    def at(row: int, column: int) -> Plane:
        found: Plane = picture[(top + row) % height, (left + column) % width]
        return found

    upper, lower = (at(row, 0) * (1 - right) + at(row, 1) * right for row in (0, 1))
    found: Plane = upper * (1 - down) + lower * down
    return found


FILMS: tuple[Callable[[], Iterator[Plane]], ...] = (
    noise, text, motion, cartoon, gradients, grain, fade, screen, dark, water, zoom, pattern,
)  # fmt: skip


def make_film(film: Callable[[], Iterator[Plane]], path: Path, repeat: int = 1) -> Path:
    """Write the film without loss, its colours a soft copy of its light."""
    command = [
        FFMPEG, "-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}",
        "-r", str(RATE), "-i", "pipe:0", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-g", "25", str(path),
    ]  # fmt: skip
    with subprocess.Popen([word for word in command if word != "-nostdin"], stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        for frame in film():
            light = np.clip(frame, 16, 235).astype(np.uint8)
            small = light[::2, ::2]
            colours = (128 + (small.astype(int) - 128) // 4).astype(np.uint8)
            writer.stdin.write(light.tobytes() + colours.tobytes() + (255 - colours).tobytes())
        writer.stdin.close()
    if writer.returncode:
        raise RuntimeError(f"ffmpeg could not write {path.name}")
    return path
