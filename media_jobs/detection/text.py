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


def load(threads: int) -> Looker:
    from .vision.text_looker import TextLooker
    from .vision.text_models import text_models

    return TextLooker(text_models(threads))
