"""The detector `text`: lines of text in pictures."""

from ..understanding.extras import VISION
from .detector import FrameDetector, Looker


class Text(FrameDetector):
    name = "text"
    title = "Text"
    things = ("line of text", "lines of text")
    unique = True
    extra = VISION.name
    module = __name__
    takes = ("max_fps",)


def load(threads: int, max_fps: float) -> Looker:
    from .vision.text_looker import TextLooker
    from .vision.text_models import text_models

    return TextLooker(text_models(threads), max_fps)
