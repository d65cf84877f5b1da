"""The two models for text, which the detectors `plates` and `text` share: they lie in the package rapidocr.

Only its files are used. Its code would load what is missing from a hub, and imports much else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2

from ...understanding.engine import CannotAnswer
from ..detector import Picture
from .sessions import open_model
from .text_finder import Line, TextFinder
from .text_reader import TextReader, cut_out

_FOLDER = "models"
_FINDS, _READS = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"


@dataclass(frozen=True, slots=True)
class TextModels:
    finder: TextFinder
    reader: TextReader

    def read(self, picture: Picture, lines: list[Line]) -> Iterator[tuple[Line, str, float]]:
        """The text of each line, and how sure it is."""
        found = self.reader.read([cut_out(picture, line.corners) for line in lines])
        return ((line, text, score) for line, (text, score) in zip(lines, found, strict=True))


@cache
def text_models(threads: int) -> TextModels:
    spec = find_spec("rapidocr")
    folder = Path(spec.origin).parent / _FOLDER if spec is not None and spec.origin else Path()
    for name in (_FINDS, _READS):
        if not (folder / name).is_file():
            raise CannotAnswer(
                f"The package rapidocr has no {name}. An administrator must install the extra vision again."
            )
    cv2.setNumThreads(threads)
    return TextModels(
        TextFinder(open_model(folder / _FINDS, threads)), TextReader(open_model(folder / _READS, threads))
    )
