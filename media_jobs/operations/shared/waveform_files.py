"""The files of a waveform: audiowaveform's binary format and JSON, version 2, and a picture.

https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .peaks import Samples, divided

_VERSION, _EIGHT_BITS = 2, 1
_HEADER = struct.Struct("<iIiiIi")
_BLOCK = 1 << 16  # values that are converted at a time
PICTURE_SIZE = (1800, 200)
_COLOUR = bytes.fromhex("4f7cac")


@dataclass(slots=True)
class WaveformFile:
    """A binary waveform that is being written. `length`: its pixels so far."""

    file: BinaryIO
    sample_rate: int
    samples_per_pixel: int
    channels: int
    bits: int
    length: int = 0

    def begin(self) -> None:
        self.file.write(self._header())

    def write(self, peaks: Samples) -> None:
        self.length += len(peaks)
        values = peaks.astype("<i2") if self.bits == 16 else divided(peaks, 256).astype(np.int8)
        self.file.write(values.tobytes())

    def end(self) -> None:
        self.file.seek(0)
        self.file.write(self._header())

    def _header(self) -> bytes:
        flags = _EIGHT_BITS if self.bits == 8 else 0
        return _HEADER.pack(_VERSION, flags, self.sample_rate, self.samples_per_pixel, self.length, self.channels)

    @property
    def row(self) -> int:
        """Values of a pixel."""
        return 2 * self.channels


def write_json(waveform: WaveformFile, data: Path, target: Path) -> None:
    """The same as JSON, byte for byte as audiowaveform writes it."""
    with target.open("w", encoding="ascii") as file:
        file.write(
            f'{{"version":{_VERSION},"channels":{waveform.channels},"sample_rate":{waveform.sample_rate},'
            f'"samples_per_pixel":{waveform.samples_per_pixel},"bits":{waveform.bits},"length":{waveform.length},"data":['
        )
        for number, values in enumerate(_values(waveform, data)):
            file.write(("," if number else "") + ",".join(map(str, values.tolist())))
        file.write("]}\n")


def _values(waveform: WaveformFile, data: Path) -> Iterator[NDArray[np.integer]]:
    with data.open("rb") as file:
        file.seek(_HEADER.size)
        size = _BLOCK * waveform.bits // 8
        while block := file.read(size):
            yield np.frombuffer(block, _dtype(waveform))


def _dtype(waveform: WaveformFile) -> "np.dtype[np.int16] | np.dtype[np.int8]":
    return np.dtype("<i2") if waveform.bits == 16 else np.dtype(np.int8)


def write_picture(waveform: WaveformFile, data: Path, target: Path) -> None:
    """A PNG of the whole waveform with a transparent ground, as high as its loudest peak."""
    width, height = PICTURE_SIZE
    lows, highs = _columns(waveform, data, width)
    loudest = max(1, int(-lows.min()), int(highs.max()))
    middle = (height - 1) / 2
    tops = np.floor(middle - highs * middle / loudest)
    bottoms = np.ceil(middle - lows * middle / loudest)
    rows = np.arange(height)[:, None]
    drawn = (rows >= tops) & (rows <= bottoms)
    target.write_bytes(_png(drawn))


def _columns(waveform: WaveformFile, data: Path, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lowest and the highest value of each column of the picture."""
    dtype, row = _dtype(waveform), waveform.row
    lows, highs = np.zeros(width, np.int64), np.zeros(width, np.int64)
    with data.open("rb") as file:
        for column in range(width):
            begin = column * waveform.length // width
            end = max(begin + 1, (column + 1) * waveform.length // width)
            file.seek(_HEADER.size + begin * row * dtype.itemsize)
            values = np.frombuffer(file.read((end - begin) * row * dtype.itemsize), dtype)
            lows[column], highs[column] = values.min(), values.max()
    return lows, highs


def _png(drawn: NDArray[np.bool_]) -> bytes:
    """Two colours, of which one is transparent: one bit for each pixel."""
    height, width = drawn.shape
    packed = np.packbits(drawn, axis=1)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), packed], axis=1).tobytes()  # no filter before each line
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
        (b"PLTE", 2 * _COLOUR),
        (b"tRNS", b"\x00\xff"),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
