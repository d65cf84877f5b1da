"""The detector `black`: where the picture is black."""

from collections.abc import Sequence

from .marked_spans import SpanDetector

_DARK = 0.05  # of the range of brightness: the noise of a black recording is below, what is seen at night above
_SHARE = 0.97  # of the picture: a logo may be left


class Black(SpanDetector):
    name = "black"
    title = "Black picture"
    things = ("black stretch", "black stretches")
    media = "video"
    begin_key, end_key = keys = ("lavfi.black_start", "lavfi.black_end")
    shortest = 0.2

    def filters(self) -> Sequence[str]:
        return [f"blackdetect=d=0:pix_th={_DARK}:pic_th={_SHARE}"]
