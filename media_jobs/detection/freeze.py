"""The detector `freeze`: where the picture stands still.

An encoder changes a picture that stands still, above all a noisy one: it needs some frames to finish it, and key
frames renew it. So a freeze begins with the last frame that has changed as much as those before it; and pieces
between which the picture hardly changes are one freeze.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from .detector import Marked
from .frame_changes import CHANGE, FILTERS, FIRST, change
from .marked_spans import Span, SpanDetector

_STILL = 0.001  # of the range of values, on average: what moves changes more, if it is larger than a face far away
_PIECE = 0.5  # seconds: key frames are further apart
_RENEWAL = 2.5  # percent: a key frame changes less, a new picture more
_FINISHED = 0.5  # seconds that an encoder may need to finish the picture
_RENEWED = 0.3  # seconds until the picture stands still again


class Freeze(SpanDetector):
    name = "freeze"
    title = "Frozen picture"
    things = ("freeze", "freezes")
    media = "video"
    begin_key, end_key = "lavfi.freezedetect.freeze_start", "lavfi.freezedetect.freeze_end"
    keys = (begin_key, end_key, CHANGE, FIRST)
    shortest = 2.0  # seconds: people hold a pose for less
    lead = _PIECE + _FINISHED + 0.2  # the filter marks a piece once it has lasted that long

    def filters(self) -> Sequence[str]:
        return [f"freezedetect=n={_STILL}:d={_PIECE}", *FILTERS]

    def spans(self, marked: Iterable[Marked], end: float) -> Iterator[Span]:
        joined: Span | None = None
        for piece in super().spans(self._with_true_starts(marked), end):
            if joined is not None and self._was_renewed(joined) and piece.start - joined.end <= _RENEWED:
                joined = Span(joined.start, piece.end, piece.last)
                continue
            if joined is not None:
                yield joined
            joined = piece
        if joined is not None:
            yield joined

    def _with_true_starts(self, marked: Iterable[Marked]) -> Iterator[Marked]:
        recent = deque[Marked]()
        for each in marked:
            while recent and recent[0].time < each.time - _PIECE - _FINISHED:
                recent.popleft()
            if CHANGE in each.values or FIRST in each.values:
                recent.append(each)
            if self.begin_key in each.values:
                start = _true_start(float(each.values[self.begin_key]), recent)
                yield Marked(each.time, {**each.values, self.begin_key: f"{start}"})
            else:
                yield each

    def _was_renewed(self, piece: Span) -> bool:
        """Whether a key frame of the same picture may have ended it.

        It was no single frame: those of a slow recording, of one frame a second, are not joined.
        """
        last = piece.last
        return last is not None and self.begin_key not in last.values and change(last) < _RENEWAL


def _true_start(start: float, recent: Iterable[Marked]) -> float:
    """When the last frame was shown that has changed half as much as any before it. `recent` is what has changed."""
    before = [each for each in recent if start - _FINISHED <= each.time <= start]
    most = max(map(change, before), default=0.0)
    return max((each.time for each in before if change(each) >= most / 2), default=start)
