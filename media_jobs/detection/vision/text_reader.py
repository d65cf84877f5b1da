"""What is written in a piece of a picture that shows one line, by a model (PP-OCRv6).

The model says for each column which character it most likely is, or none. Equal neighbours are one character.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..detector import Picture
from .text_finder import Corners

_HEIGHT, _WIDTH = 48, 320  # of the model's input; longer lines make it wider
_WIDEST = 1920  # what is longer still is no text, or is squeezed: memory grows with the width
_BATCH = 6
_NONE = 0  # the class of columns without a character


class TextReader:
    def __init__(self, model: Any) -> None:
        self._model, self._input = model, model.get_inputs()[0].name
        known = model.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *known, " "]

    def read(self, pieces: Sequence[Picture]) -> list[tuple[str, float]]:
        """The text of each piece, which shows one line, and how sure the model is of its characters."""
        found = [("", 0.0)] * len(pieces)
        order = sorted(range(len(pieces)), key=lambda number: pieces[number].shape[1] / pieces[number].shape[0])
        for begin in range(0, len(order), _BATCH):
            batch = order[begin : begin + _BATCH]
            (likely,) = self._model.run(None, {self._input: _blob([pieces[number] for number in batch])})
            for number, columns in zip(batch, likely, strict=True):
                found[number] = self._text(columns)
        return found

    def _text(self, columns: NDArray[np.float32]) -> tuple[str, float]:
        classes = columns.argmax(axis=1)
        is_new = np.append(True, classes[1:] != classes[:-1]) & (classes != _NONE)
        if not is_new.any():
            return "", 0.0
        text = "".join(self._characters[number] for number in classes[is_new])
        return text, float(columns.max(axis=1)[is_new].mean())


def cut_out(picture: Picture, corners: Corners) -> Picture:
    """The piece between four corners, set upright."""
    first, second, third, fourth = corners
    width = max(np.linalg.norm(second - first), np.linalg.norm(third - fourth))
    height = max(np.linalg.norm(third - second), np.linalg.norm(fourth - first))
    size = (max(1, round(float(width))), max(1, round(float(height))))
    target = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], np.float32)
    move = cv2.getPerspectiveTransform(corners, target)
    piece: Picture = cv2.warpPerspective(picture, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(np.rot90(piece)) if size[1] >= 1.5 * size[0] else piece


def _blob(pieces: Sequence[Picture]) -> NDArray[np.float32]:
    widths = [min(_WIDEST, max(1, round(_HEIGHT * piece.shape[1] / piece.shape[0]))) for piece in pieces]
    blob = np.zeros((len(pieces), 3, _HEIGHT, max(_WIDTH, *widths)), np.float32)
    for number, (piece, width) in enumerate(zip(pieces, widths, strict=True)):
        scaled = cv2.resize(piece, (width, _HEIGHT)).astype(np.float32) / 127.5 - 1
        blob[number, :, :, :width] = scaled.transpose(2, 0, 1)
    return blob
