"""All detectors by name: those built in, which need a line here, models of the operator's, and those of plug-ins."""

from collections.abc import Sequence
from functools import cache

from ..entry_points import BrokenPlugin, Plugins
from .black import Black
from .detector import Detector
from .freeze import Freeze
from .motion import Motion
from .onnx_models import OnnxDetector, is_name, names_of
from .plates import Plates
from .plugins import DETECTORS as PLUGINS
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
    return DETECTORS.get(name) or _plugins().found.get(name) or (OnnxDetector(name) if is_name(name) else None)


def detector_names() -> list[str]:
    """Of all that are known here, in their order."""
    return [*DETECTORS, *_plugins().found]


def register_models(folder: str) -> None:
    """Let forms offer the operator's models that are in the folder now."""
    DETECTORS.update((name, OnnxDetector(name)) for name in names_of(folder) if is_name(name))


def package_of(name: str) -> str:
    """The package, with its version, that a detector is from; "" if it is built in."""
    return _plugins().packages.get(name, "")


def broken_plugins() -> Sequence[BrokenPlugin]:
    """Installed ones that cannot be used."""
    return _plugins().broken


@cache
def _plugins() -> Plugins[Detector]:
    """They are imported when they are first asked for: commands that need no detector do not import them."""
    return PLUGINS.load([detector.name for detector in _DETECTORS])
