"""All detectors by name. Each has one line here."""

from .black import Black
from .detector import Detector
from .freeze import Freeze
from .motion import Motion
from .onnx_models import OnnxDetector, is_name, names_of
from .plates import Plates
from .scenes import Scenes
from .silence import Silence
from .text import Text

_DETECTORS: list[Detector] = [
    Plates(),
    Text(),
    Motion(),
    Scenes(),
    Black(),
    Freeze(),
    Silence(),
]
DETECTORS: dict[str, Detector] = {detector.name: detector for detector in _DETECTORS}


def find_detector(name: str) -> Detector | None:
    """By its name. A model of the operator's may be on other hosts only."""
    return DETECTORS.get(name) or (OnnxDetector(name) if is_name(name) else None)


def register_models(folder: str) -> None:
    """Let forms offer the operator's models that are in the folder now."""
    DETECTORS.update((name, OnnxDetector(name)) for name in names_of(folder) if is_name(name))
