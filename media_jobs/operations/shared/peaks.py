"""The lowest and the highest sample of each pixel of a waveform, as audiowaveform has them, in constant memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]  # one row for each moment, one column for each channel


@dataclass(slots=True)
class Peaks:
    """Passes rows of peaks to `write`: the lowest and the highest sample of each channel, in turns.

    Unless they are split, the channels are mixed first: their sum divided by their number, toward zero. Samples that
    do not fill the last pixel make one more.
    """

    channels: int
    samples_per_pixel: int
    is_split: bool
    write: Callable[[Samples], object]
    _seen: int = 0  # samples of the pixel that is not full yet
    _lows: list[int] = field(default_factory=list)
    _highs: list[int] = field(default_factory=list)

    def feed(self, samples: Samples) -> None:
        lanes = self._lanes(samples)
        length, at = len(samples), 0
        if self._seen:
            at = min(length, self.samples_per_pixel - self._seen)
            self._add([lane[:at] for lane in lanes])
        whole = (length - at) // self.samples_per_pixel
        if whole:
            until = at + whole * self.samples_per_pixel
            shape = (whole, self.samples_per_pixel)
            pixels = [lane[at:until].reshape(shape) for lane in lanes]
            self._write([lane.min(axis=1) for lane in pixels], [lane.max(axis=1) for lane in pixels])
            at = until
        if at < length:
            self._add([lane[at:] for lane in lanes])

    def close(self) -> None:
        if self._seen:
            self._write([np.array([low]) for low in self._lows], [np.array([high]) for high in self._highs])
            self._seen, self._lows, self._highs = 0, [], []

    def _lanes(self, samples: Samples) -> list[NDArray[np.integer]]:
        """The values of each channel of the waveform. A mix is divided later: the order of values stays the same."""
        columns = [samples[:, channel] for channel in range(self.channels)]
        if self.is_split:
            return [np.ascontiguousarray(column) for column in columns]
        first, *others = columns
        mixed = first.astype(np.int32)
        for column in others:
            mixed += column
        return [mixed]

    def _add(self, lanes: Sequence[NDArray[np.integer]]) -> None:
        """Add samples to the pixel that is not full yet."""
        lows, highs = [int(lane.min()) for lane in lanes], [int(lane.max()) for lane in lanes]
        self._lows = list(map(min, self._lows, lows)) if self._seen else lows
        self._highs = list(map(max, self._highs, highs)) if self._seen else highs
        self._seen += len(lanes[0])
        if self._seen == self.samples_per_pixel:
            self.close()

    def _write(self, lows: Sequence[NDArray[np.integer]], highs: Sequence[NDArray[np.integer]]) -> None:
        row = np.stack([lane for pair in zip(lows, highs, strict=True) for lane in pair], axis=1)
        self.write((row if self.is_split else divided(row, self.channels)).astype(np.int16))


def divided(values: NDArray[np.integer], by: int) -> NDArray[np.int32]:
    """Integer division toward zero, as in C. Python and numpy round down."""
    wide = values.astype(np.int32)
    result: NDArray[np.int32] = (wide + (wide < 0) * np.int32(by - 1)) // by
    return result
