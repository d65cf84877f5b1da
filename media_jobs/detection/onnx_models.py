"""The detectors `onnx:NAME`: models that the operator keeps in the folder MILLRACE_DETECTOR_MODELS.

A model is a file NAME.onnx with the labels of its classes in NAME.txt, a line each. NAME.json may hold thresholds.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..understanding.extras import VISION, NoModel
from .detector import FrameDetector, Looker

PREFIX = "onnx:"
_NAME = re.compile(PREFIX + r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_MOST_LABELS, _LONGEST_LABEL = 1000, 100
_SETTING = "MILLRACE_DETECTOR_MODELS"


class Thresholds(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    confidence: float = Field(0.25, ge=0, le=1)  # boxes below are left out
    overlap: float = Field(0.45, ge=0, le=1)  # of two boxes of a class that overlap more, the surer one stays


class OnnxDetector(FrameDetector):
    """A model by its name, wherever it is: `with_models` finds its files on this host."""

    title = "Model of the operator's"
    things = ("object", "objects")
    extra = VISION.name
    module = __name__

    def __init__(self, name: str) -> None:
        self.name = name

    def with_models(self, models: Mapping[str, str]) -> FrameDetector:
        return find_onnx(models.get(self.extra, ""), self.name)


class OnnxFiles(OnnxDetector):
    """A model whose files are here."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises NoModel."""
        super().__init__(name)
        stem = name.removeprefix(PREFIX)
        self._model, self._labels = folder / f"{stem}.onnx", folder / f"{stem}.txt"
        if not self._model.is_file():
            raise NoModel(f"The folder {_SETTING} has no file {self._model.name}.")
        if not self._labels.is_file():
            raise NoModel(
                f"The model {self._model.name} has no labels. Put them into {self._labels.name}, one a line."
            )
        self.labels = _read_labels(self._labels)
        self.thresholds = _read_thresholds(folder / f"{stem}.json")

    def with_models(self, models: Mapping[str, str]) -> FrameDetector:
        return self

    def options(self) -> Mapping[str, str]:
        model, labels = map(str, self.files())
        return {"model": model, "labels": labels} | {name: str(value) for name, value in self.thresholds}

    def files(self) -> Sequence[Path]:
        return [self._model.resolve(), self._labels.resolve()]  # a rule for a link would not do

    def identity(self) -> str:
        beside = hashlib.sha256(repr((self.labels, self.thresholds)).encode()).hexdigest()
        try:
            status = self._model.stat()
            return f"{_digest(self._model, status.st_size, status.st_mtime_ns)} {beside[:16]}"
        except OSError as error:
            raise NoModel(f"{self._model.name} cannot be read: {error.strerror}.") from error


def find_onnx(folder: str, name: str) -> OnnxFiles:
    """The detector with this name, which begins with PREFIX. Raises NoModel."""
    if not folder:
        raise NoModel(f"No models are registered here. An administrator names their folder in {_SETTING}.")
    if not is_name(name):
        raise NoModel("The name of a model has letters, digits, hyphens, dots and underscores only.")
    return OnnxFiles(Path(folder).expanduser(), name)


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def names_of(folder: str) -> list[str]:
    """Of the detectors in the folder, complete or not."""
    found = Path(folder).expanduser().glob("*.onnx") if folder else ()
    return sorted(PREFIX + path.stem for path in found)


def _read_labels(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NoModel(f"{path.name} cannot be read. It must be a text in UTF-8, a label a line.") from error
    labels = [line.strip() for line in text.strip().splitlines()]
    if not labels or not all(labels):
        raise NoModel(f"{path.name} must have a label in each line, in the order of the model's classes.")
    if len(labels) > _MOST_LABELS or max(map(len, labels)) > _LONGEST_LABEL:
        raise NoModel(
            f"{path.name} has too much in it: {_MOST_LABELS} labels of {_LONGEST_LABEL} characters are allowed."
        )
    return labels


def _read_thresholds(path: Path) -> Thresholds:
    if not path.exists():
        return Thresholds.model_validate({})
    try:
        return Thresholds.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise NoModel(
            f'{path.name} must be as {{"confidence": 0.25, "overlap": 0.45}}, with numbers from 0 to 1.'
        ) from error


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load(threads: int, model: str, labels: str, confidence: str, overlap: str) -> Looker:
    from .vision.yolo_looker import YoloLooker
    from .vision.yolo_model import YoloModel

    found = YoloModel(Path(model), _read_labels(Path(labels)), threads)
    return YoloLooker(found, float(confidence), float(overlap))
