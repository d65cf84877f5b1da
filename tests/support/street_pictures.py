"""What a street is drawn of: number plates, signs, the road, and how a camera sees them."""

import math
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Condition = Literal["day", "blur", "night"]
CONDITIONS: tuple[Condition, ...] = ("day", "blur", "night")
LOOKS = 4
_DEJAVU = Path(__file__).resolve().parents[2] / "media_jobs/operations/rendering/fonts/DejaVuSans.ttf"
_HEIGHT = 96  # pixels of a line, before it is scaled
_INK, _WHITE, _YELLOW = (20, 20, 20), (245, 245, 245), (60, 215, 250)


def plate_picture(text: str, look: int) -> Picture:
    """`look`: bold, thin, condensed on yellow, or in the strokes of OpenCV's own font."""
    ground = _YELLOW if look == 2 else _WHITE
    return _framed(_framed(_line(text, look, _INK, ground), 16, 32, ground), 6, 6, _INK)


def sign_picture(text: str, ground: Colour) -> Picture:
    return _framed(_line(text, 0, _INK if min(ground) > 200 else _WHITE, ground), 40, 50, ground)


def road_picture(noise: np.random.Generator, width: int, height: int) -> Picture:
    """Grey, brighter above, with a grain."""
    shades = np.linspace(175, 85, height, dtype=np.float32)[:, None]
    grain = cv2.GaussianBlur(noise.normal(0, 28, (height, width)).astype(np.float32), (0, 0), 1.5)
    grey = np.clip(shades + grain, 0, 255).astype(np.uint8)
    return np.asarray(np.repeat(grey[:, :, None], 3, axis=2), np.uint8)


def seen(picture: Picture, condition: Condition, noise: np.random.Generator) -> Picture:
    """As a camera sees it."""
    width = picture.shape[1]
    if condition == "blur":  # out of focus, and of things that move
        return np.asarray(cv2.GaussianBlur(cv2.blur(picture, (width // 200, 1)), (0, 0), width / 600), np.uint8)
    if condition == "night":
        dark = picture.astype(np.float32) * 0.2 + noise.normal(0, 8, (*picture.shape[:2], 1)).astype(np.float32)
        return np.asarray(np.clip(dark, 0, 255), np.uint8)
    return picture


def _line(text: str, look: int, colour: Colour, ground: Colour) -> Picture:
    if look == 3:
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 3.2, 8)
        drawn = np.full((_HEIGHT, width + 8, 3), ground, np.uint8)
        cv2.putText(drawn, text, (4, (_HEIGHT + height) // 2), cv2.FONT_HERSHEY_DUPLEX, 3.2, colour, 8, cv2.LINE_AA)
        return drawn
    font, bold = ImageFont.truetype(str(_DEJAVU), 88), 0 if look == 1 else 4
    width = math.ceil(font.getlength(text)) + 2 * bold
    image = Image.new("RGB", (width, _HEIGHT), ground)
    middle = (width / 2, _HEIGHT / 2)
    ImageDraw.Draw(image).text(middle, text, colour, font, "mm", stroke_width=bold, stroke_fill=colour)
    if look == 2:
        image = image.resize((width * 3 // 4, _HEIGHT))
    return np.asarray(image, np.uint8)


def _framed(picture: Picture, high: int, wide: int, colour: Colour) -> Picture:
    made = cv2.copyMakeBorder(picture, high, high, wide, wide, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(made, np.uint8)
