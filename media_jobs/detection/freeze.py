"""The detector `freeze`: where the picture stands still."""

from collections.abc import Sequence

from .marked_spans import SpanDetector

_CHANGE = 0.001  # of the range of brightness, on average: a live picture changes by more, if only by its noise


class Freeze(SpanDetector):
    name = "freeze"
    title = "Frozen picture"
    things = ("freeze", "freezes")
    media = "video"
    begin_key, end_key = keys = ("lavfi.freezedetect.freeze_start", "lavfi.freezedetect.freeze_end")
    shortest = 2.0  # seconds: people hold a pose, and a title, for less
    lead = shortest + 0.5  # the filter marks a freeze once it has lasted that long

    def filters(self) -> Sequence[str]:
        return [f"freezedetect=n={_CHANGE}:d={self.shortest}"]
