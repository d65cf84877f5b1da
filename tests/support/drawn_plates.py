"""Clips with number plates whose texts, times and paths are known: drawn, not filmed. Equal seeds give equal clips.

In each clip two plates that differ in one character are there at the same time; others come, move, grow and vanish,
and signs stand beside them. Figures from such clips show that the way from a frame to a find works, no more.
"""

import random
import string
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from media_jobs.detection.sightings import Box
from media_jobs.ffmpeg.binary import find

from .street_pictures import LOOKS, Condition, Picture, plate_picture, road_picture, seen, sign_picture

_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"  # I, O and Q are on few plates: they look like 1 and 0
_FORMS = ("LL99 LLL", "LLL 9999", "L 999 LL", "LL 99999", "999 LLL", "LL-99-LL", "LLL-999", "99 LL 999")
_SIGNS = ("STOP", "EXIT 24", "CITY CENTRE", "PARKING", "50", "HOTEL", "A40", "ONE WAY", "No entry", "Route 66")
_LANES = 3


@dataclass(frozen=True)
class DrawnPlate:
    text: str  # letters and digits only
    path: dict[float, Box]  # by the time of each frame that shows all of it

    @property
    def start(self) -> float:
        return min(self.path)

    @property
    def end(self) -> float:
        return max(self.path)


@dataclass(frozen=True)
class DrawnClip:
    path: Path
    condition: Condition
    duration: float
    plates: Sequence[DrawnPlate]


@dataclass(frozen=True)
class _Thing:
    """A picture that moves on a line and grows on its way."""

    text: str  # "" for a sign
    sprite: Picture
    first: int  # frames
    last: int
    begin: tuple[float, float, float]  # x and y of the middle, and the width, in pixels
    stop: tuple[float, float, float]

    def at(self, frame: int) -> tuple[float, float, float] | None:
        if not self.first <= frame <= self.last:
            return None
        share = (frame - self.first) / max(1, self.last - self.first)
        x, y, width = (a + (b - a) * share for a, b in zip(self.begin, self.stop, strict=True))
        return x, y, width


def draw_clip(
    path: Path, seed: int, condition: Condition = "day", *, seconds: float = 8.0, width: int = 1280, fps: int = 25
) -> DrawnClip:
    chance, frames, height = random.Random(seed), round(seconds * fps), width * 9 // 16
    things = [*_signs(chance, frames, width, height), *_plates(chance, frames, width, height)]
    plates = [DrawnPlate(thing.text, {}) for thing in things]
    pictures = _pictures(things, plates, np.random.default_rng(seed), condition, (width, height), frames, fps)
    _encode(path, pictures, width, fps)
    return DrawnClip(path, condition, seconds, [plate for plate in plates if plate.text and plate.path])


def _pictures(
    things: Sequence[_Thing], plates: Sequence[DrawnPlate], noise: np.random.Generator, condition: Condition,
    size: tuple[int, int], frames: int, fps: int,
) -> Iterator[Picture]:  # fmt: skip
    """The frames. Notes where each plate is."""
    road = road_picture(noise, *size)
    for frame in range(frames):
        picture = road.copy()
        shown = [
            (thing, plate, place)
            for thing, plate in zip(things, plates, strict=True)
            if (place := thing.at(frame)) is not None
        ]
        for thing, _, place in shown:
            if thing.text:
                _paste_car(picture, thing.sprite, place)
        for thing, plate, place in shown:
            if (box := _paste(picture, thing.sprite, place)) is not None:
                plate.path[frame / fps] = box
        yield seen(picture, condition, noise)


def _plates(chance: random.Random, frames: int, width: int, height: int) -> Iterator[_Thing]:
    """Two that differ in one character at the same time, and others one after another in the third lane."""
    lanes = list(range(_LANES))
    chance.shuffle(lanes)
    text = _text(chance)
    first, last = chance.randrange(0, frames // 4), frames - 1 - chance.randrange(0, frames // 4)
    look = chance.randrange(LOOKS)
    for lane, written in zip(lanes, (text, _other(text, chance)), strict=False):
        yield _moving(written, look, first, last, lane, chance, width, height)
    begin = chance.randrange(frames // 8)
    while begin < frames * 3 // 4:
        stop = min(frames - 1, begin + chance.randrange(frames // 5, frames // 2))
        yield _moving(_text(chance), chance.randrange(LOOKS), begin, stop, lanes[2], chance, width, height)
        begin = stop + chance.randrange(frames // 10, frames // 4)


def _moving(
    text: str, look: int, first: int, last: int, lane: int, chance: random.Random, width: int, height: int
) -> _Thing:
    band = height * 0.72 / _LANES
    y = height * 0.25 + band * (lane + 0.5)
    small = width * chance.uniform(0.10, 0.14)
    large = small * chance.uniform(1.0, 1.5)
    # Some drive in at one edge of the picture, and some out at the other. The others appear and vanish.
    begin = chance.choice((-0.08, chance.uniform(0.15, 0.4)))
    stop = chance.choice((1.08, chance.uniform(0.6, 0.85)))
    ends = [(begin * width, y - band / 6, small), (stop * width, y + band / 6, large)]
    if chance.random() < 0.5:
        ends = [(width - x, y, size) for x, y, size in ends]
    shown = "".join(letter for letter in text if letter.isalnum())
    return _Thing(shown, plate_picture(text, look), first, last, ends[0], ends[1])


def _signs(chance: random.Random, frames: int, width: int, height: int) -> Iterator[_Thing]:
    for number, text in enumerate(chance.sample(_SIGNS, 3)):
        x = width * (0.2 + 0.3 * number) + chance.uniform(-0.05, 0.05) * width
        place = (x, height * 0.11, width * chance.uniform(0.1, 0.16))
        colour = chance.choice(((120, 60, 10), (40, 110, 20), (30, 30, 190), (235, 235, 235)))
        yield _Thing("", sign_picture(text, colour), 0, frames - 1, place, place)


def _text(chance: random.Random) -> str:
    return "".join(
        {"L": chance.choice(_LETTERS), "9": chance.choice(string.digits)}.get(letter, letter)
        for letter in chance.choice(_FORMS)
    )


def _other(text: str, chance: random.Random) -> str:
    """The text with another character in one place."""
    place = chance.choice([number for number, letter in enumerate(text) if letter.isalnum()])
    kind = string.digits if text[place].isdigit() else _LETTERS
    return text[:place] + chance.choice(kind.replace(text[place], "")) + text[place + 1 :]


def _paste_car(picture: Picture, sprite: Picture, place: tuple[float, float, float]) -> None:
    x, y, width = place
    height = width / sprite.shape[1] * sprite.shape[0]
    corner = (round(x - width * 0.9), round(y - height * 2.2))
    cv2.rectangle(picture, corner, (round(x + width * 0.9), round(y + height)), (90, 50, 40), -1)


def _paste(picture: Picture, sprite: Picture, place: tuple[float, float, float]) -> Box | None:
    """Draw it with parts of pixels. Returns its box if all of it is in the picture."""
    (rows, columns), (high, wide) = sprite.shape[:2], picture.shape[:2]
    x, y, width = place
    scale = width / columns
    height = scale * rows
    small = cv2.resize(sprite, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    move = np.array([[1, 0, x - small.shape[1] / 2], [0, 1, y - small.shape[0] / 2]], np.float32)
    cv2.warpAffine(small, move, (wide, high), picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    box = Box((x - width / 2) / wide, (y - height / 2) / high, width / wide, height / high)
    inside = box.x >= 0 and box.y >= 0 and box.x + box.width <= 1 and box.y + box.height <= 1
    return box if inside else None


def _encode(path: Path, pictures: Iterator[Picture], width: int, fps: int) -> None:
    size = f"{width}x{width * 9 // 16}"
    command = [
        str(find().path), "-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size,
        "-r", str(fps), "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", str(2 * fps),
        "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for picture in pictures:
            process.stdin.write(picture.tobytes())
        process.stdin.close()
        assert process.wait() == 0
