"""The detectors `onnx:NAME`: models that the operator keeps in the folder MILLRACE_DETECTOR_MODELS.

A model is a file NAME.onnx with the labels of its classes in NAME.txt, a line each. NAME.json may hold thresholds.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..understanding.extras import VISION
from .detector import FrameDetector, Looker

PREFIX = "onnx:"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_MOST_LABELS, _LONGEST_LABEL = 10_000, 100
_SETTING = "MILLRACE_DETECTOR_MODELS"


class NoDetectorModel(Exception):
    """There is no such model here, or its files are incomplete: a sentence that says what to do."""


class Thresholds(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    confidence: float = Field(0.25, ge=0, le=1)  # boxes below are left out
    overlap: float = Field(0.45, ge=0, le=1)  # of two boxes of a class that overlap more, the surer one stays


class OnnxDetector(FrameDetector):
    title = "Model of the operator's"
    things = ("object", "objects")
    extra = VISION.name
    module = __name__

    def __init__(self, folder: Path, name: str) -> None:
        """Raises NoDetectorModel."""
        self.name = PREFIX + name
        self._model, self._labels, self._thresholds = (folder / f"{name}.{kind}" for kind in ("onnx", "txt", "json"))
        if not self._model.is_file():
            raise NoDetectorModel(f"The folder {_SETTING} has no file {self._model.name}.")
        if not self._labels.is_file():
            raise NoDetectorModel(
                f"The model {self._model.name} has no labels. Put them into {self._labels.name}, one a line."
            )
        self.labels = _read_labels(self._labels)
        self.thresholds = _read_thresholds(self._thresholds)

    def options(self) -> Mapping[str, str]:
        return {"model": str(self._model.resolve()), "labels": "\n".join(self.labels)} | {
            name: str(value) for name, value in self.thresholds
        }

    def files(self) -> Sequence[Path]:
        return [self._model.resolve()]

    def identity(self) -> str:
        status = self._model.stat()
        read = hashlib.sha256(repr((self.labels, self.thresholds)).encode()).hexdigest()
        return f"{self.name} {_digest(self._model, status.st_size, status.st_mtime_ns)} {read[:16]}"


def find_onnx(folder: str, name: str) -> OnnxDetector:
    """The detector with this name, which begins with PREFIX. Raises NoDetectorModel."""
    if not folder:
        raise NoDetectorModel(f"No models are registered here. An administrator names their folder in {_SETTING}.")
    if re.fullmatch(PREFIX + NAME, name) is None:
        raise NoDetectorModel("The name of a model has letters, digits, hyphens, dots and underscores only.")
    return OnnxDetector(Path(folder).expanduser(), name.removeprefix(PREFIX))


def names_of(folder: str) -> list[str]:
    """Of the detectors in the folder, complete or not."""
    found = Path(folder).expanduser().glob("*.onnx") if folder else ()
    return sorted(PREFIX + path.stem for path in found)


def _read_labels(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NoDetectorModel(f"{path.name} cannot be read. It must be a text in UTF-8, a label a line.") from error
    labels = [line.strip() for line in text.strip().splitlines()]
    if not labels or not all(labels):
        raise NoDetectorModel(f"{path.name} must have a label in each line, in the order of the model's classes.")
    if len(labels) > _MOST_LABELS or max(map(len, labels)) > _LONGEST_LABEL:
        raise NoDetectorModel(
            f"{path.name} has too much in it: {_MOST_LABELS} labels of {_LONGEST_LABEL} characters are allowed."
        )
    return labels


def _read_thresholds(path: Path) -> Thresholds:
    if not path.exists():
        return Thresholds.model_validate({})
    try:
        return Thresholds.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise NoDetectorModel(
            f'{path.name} must be as {{"confidence": 0.25, "overlap": 0.45}}, with numbers from 0 to 1.'
        ) from error


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load(threads: int, model: str, labels: str, confidence: str, overlap: str) -> Looker:
    from .vision.yolo_looker import YoloLooker
    from .vision.yolo_model import YoloModel

    found = YoloModel(Path(model), labels.split("\n"), threads)
    return YoloLooker(found, float(confidence), float(overlap))
