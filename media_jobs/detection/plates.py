"""The detector `plates`: number plates, and what is written on them."""

from ..understanding.extras import VISION
from .detector import FrameDetector, Looker


class Plates(FrameDetector):
    name = "plates"
    title = "Number plates"
    things = ("plate", "plates")
    unique = True
    extra = VISION.name
    module = __name__
    takes = ("plate_pattern", "max_fps")


def load(threads: int, max_fps: float, plate_pattern: str = "") -> Looker:
    from .vision.plate_looker import PlateLooker
    from .vision.text_models import text_models

    return PlateLooker(text_models(threads), plate_pattern, max_fps)
