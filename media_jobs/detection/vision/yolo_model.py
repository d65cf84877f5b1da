"""An operator's ONNX model with the output of a YOLO: what goes in, and what its numbers mean.

Two layouts are known: [1, 4 + classes, boxes], and [1, boxes, 5 + classes], where the fifth number says how likely
there is anything. The first four are the middle, the width and the height of a box, in pixels of the input.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...understanding.engine import CannotAnswer
from ..detector import Picture
from .sessions import open_model

_USUAL_SIDE, _LARGEST_SIDE = 640, 4096
_GREY = 114  # beside a picture that is not as wide or high as the input
Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Guess:
    """All boxes of a frame: left, top, width and height in pixels of the input, and a score for each class."""

    boxes: Numbers
    scores: Numbers


class YoloModel:
    def __init__(self, path: Path, labels: Sequence[str], threads: int) -> None:
        """Raises CannotAnswer if it is no such model, which one blank frame shows."""
        self.labels, self._name = labels, path.name
        try:
            self._model: Any = open_model(path, threads)
        except Exception as error:
            if "bad_alloc" in str(error):
                raise
            raise CannotAnswer(f"The model {path.name} cannot be loaded: it is damaged, or no ONNX file.") from error
        self.width, self.height = self._input_size()
        try:
            self.guess(np.zeros((self.height, self.width, 3), np.uint8))
        except CannotAnswer:
            raise
        except Exception as error:
            raise self._unfit(f"it fails with a frame of {self.width}x{self.height}") from error

    def guess(self, framed: Picture) -> Guess:
        """What it sees in a picture of the size of its input."""
        blob = cv2.dnn.blobFromImage(framed, 1 / 255, swapRB=True)
        if self._model.get_inputs()[0].type == "tensor(float16)":
            blob = blob.astype(np.float16)
        output = self._model.run(None, {self._model.get_inputs()[0].name: blob})[0]
        boxes, scores = self._parts(np.asarray(output))
        boxes = boxes.copy()
        boxes[:, :2] -= boxes[:, 2:] / 2
        return Guess(boxes, scores)

    def _parts(self, output: NDArray[Any]) -> tuple[Numbers, Numbers]:
        classes = len(self.labels)
        if output.ndim == 3 and output.shape[0] == 1:
            numbers = output[0].astype(np.float32)
            if numbers.shape[0] == 4 + classes:
                return numbers[:4].T, numbers[4:].T
            if numbers.shape[1] == 5 + classes:
                return numbers[:, :4], numbers[:, 5:] * numbers[:, 4:5]
        shape = " × ".join(map(str, output.shape))
        raise self._unfit(
            f"its output is {shape}, and for {classes} labels it must be 1 × {4 + classes} × boxes "
            f"or 1 × boxes × {5 + classes}"
        )

    def _input_size(self) -> tuple[int, int]:
        inputs = self._model.get_inputs()
        if (
            len(inputs) != 1
            or inputs[0].type not in {"tensor(float)", "tensor(float16)"}
            or len(inputs[0].shape) != 4
        ):
            raise self._unfit("it must have one input of 1 × 3 × height × width numbers")
        batch, channels, height, width = inputs[0].shape
        if (batch not in {1} and not _is_free(batch)) or (channels != 3 and not _is_free(channels)):
            raise self._unfit(f"its input takes {batch} pictures of {channels} channels. It must take one, of 3")
        usual = self._noted_size()
        size = (usual[1] if _is_free(width) else width, usual[0] if _is_free(height) else height)
        if not all(isinstance(side, int) and 1 <= side <= _LARGEST_SIDE for side in size):
            raise self._unfit(f"its input may have sides of {_LARGEST_SIDE} pixels at most")
        return size

    def _noted_size(self) -> tuple[int, int]:
        """Height and width that the tool which made the model has noted in it."""
        try:
            height, width = ast.literal_eval(self._model.get_modelmeta().custom_metadata_map.get("imgsz", ""))
            return int(height), int(width)
        except (SyntaxError, ValueError, TypeError):
            return _USUAL_SIDE, _USUAL_SIDE

    def _unfit(self, why: str) -> CannotAnswer:
        return CannotAnswer(f"The model {self._name} cannot be used: {why}.")


def _is_free(side: object) -> bool:
    return side is None or isinstance(side, str)


def framed(picture: Picture, width: int, height: int) -> tuple[Picture, float, int, int]:
    """The picture scaled into this size, with grey beside it; its scale, and where its left upper corner is."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    frame = np.full((height, width, 3), _GREY, np.uint8)
    frame[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return frame, scale, left, top
