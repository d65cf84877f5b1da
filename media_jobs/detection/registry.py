"""All detectors by name. Each has one line here."""

from collections.abc import Mapping

from .black import Black
from .detector import Detector
from .freeze import Freeze
from .motion import Motion
from .scenes import Scenes
from .silence import Silence

_DETECTORS: list[Detector] = [
    Motion(),
    Scenes(),
    Black(),
    Freeze(),
    Silence(),
]
DETECTORS: Mapping[str, Detector] = {detector.name: detector for detector in _DETECTORS}
