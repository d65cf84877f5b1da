"""Puts the crops of finds on sheets, which ffmpeg makes JPEGs of in its sandbox."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.verification import Expected
from ..base import Output, Work
from .crops import CELL, Crop

_COLUMNS, _ROWS = 8, 12
_JPEG = ("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-frames:v", "1", "-f", "image2", "-update", "1")
_BMP = struct.Struct("<2sIHHIIiiHHIIiiII")


@dataclass(frozen=True, slots=True)
class PlacedCrop:
    image: str
    x: int
    y: int
    width: int
    height: int


def make_sheets(
    work: Work[Any], crops: Mapping[int, Callable[[], Crop]], share: float
) -> tuple[Mapping[int, PlacedCrop], Sequence[Output]]:
    """Where each crop is, by the number of its find, and the sheets. The crops are read sheet by sheet."""
    numbers = list(crops)
    per_sheet = _COLUMNS * _ROWS
    placed: dict[int, PlacedCrop] = {}
    sheets = []
    for start in range(0, len(numbers), per_sheet):
        name = f"crops-{start // per_sheet + 1:03}.jpg"
        work.tools.report(f"Drawing {name}", share)
        chunk = {number: crops[number]() for number in numbers[start : start + per_sheet]}
        places, sheet = _sheet(name, chunk)
        placed |= places
        sheets.append(_encoded(work, name, sheet))
    return placed, sheets


def _sheet(name: str, crops: Mapping[int, Crop]) -> tuple[dict[int, PlacedCrop], Crop]:
    """Row by row; each row is as high as its highest crop."""
    places: dict[int, PlacedCrop] = {}
    numbers, top = list(crops), 0
    for start in range(0, len(numbers), _COLUMNS):
        row = numbers[start : start + _COLUMNS]
        for column, number in enumerate(row):
            height, width = crops[number].shape[:2]
            places[number] = PlacedCrop(name, column * CELL[0], top, width, height)
        top += max(crops[number].shape[0] for number in row)
    right = max(place.x + place.width for place in places.values())
    sheet = np.zeros((top + top % 2, right + right % 2, 3), np.uint8)
    for number, place in places.items():
        sheet[place.y : place.y + place.height, place.x : place.x + place.width] = crops[number]
    return places, sheet


def _encoded(work: Work[Any], name: str, sheet: Crop) -> Output:
    raw, path = work.folder / f"{name}.bmp", work.folder / name
    _write_bmp(raw, sheet)
    work.tools.ffmpeg(
        Command([Source(raw, "bmp_pipe", pixels=sheet.size // 3)], [Target(path, _JPEG)], threads=1),
        frames=1, share=(0.99, 0.99), verb="Drew",
    )  # fmt: skip
    raw.unlink()
    height, width = sheet.shape[:2]
    return Output(name, path, "image", "image/jpeg", Expected(video=1, width=width, height=height, frames=1))


def _write_bmp(path: Path, sheet: Crop) -> None:
    """The one format of raw pictures that ffmpeg may read here. Its rows begin at multiples of four bytes."""
    height, width = sheet.shape[:2]
    rows = np.zeros((height, (3 * width + 3) // 4 * 4), np.uint8)
    rows[:, : 3 * width] = sheet.reshape(height, 3 * width)
    head = _BMP.size
    # A negative height: the first row is the upper one.
    header = _BMP.pack(
        b"BM", head + rows.size, 0, 0, head, head - 14, width, -height, 1, 24, 0, rows.size, 0, 0, 0, 0
    )
    path.write_bytes(header + rows.tobytes())
