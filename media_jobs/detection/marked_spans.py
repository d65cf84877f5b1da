"""The base class of `black`, `freeze` and `silence`: their filters mark where something begins and ends."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .detector import FilterDetector, Marked
from .sightings import Find


@dataclass(frozen=True, slots=True)
class Span:
    start: float
    end: float
    last: Marked | None = None  # the frame that has ended it; None: the media have ended


class SpanDetector(FilterDetector):
    begin_key: ClassVar[str]
    end_key: ClassVar[str]
    shortest: ClassVar[float]  # seconds of a find

    def finds(self, marked: Iterable[Marked], end: float) -> Sequence[Find]:
        return [
            Find(self.name, self.name, span.start, span.end, 1.0)
            for span in self.spans(marked, end)
            if span.end - span.start >= self.shortest
        ]

    def spans(self, marked: Iterable[Marked], end: float) -> Iterator[Span]:
        """From each beginning to the next end. What has not ended lasts until the end of the media."""
        start: float | None = None
        for each in marked:
            if start is None and self.begin_key in each.values:
                start = float(each.values[self.begin_key])
            if start is not None and self.end_key in each.values:
                yield Span(start, float(each.values[self.end_key]), each)
                start = None
        if start is not None:
            yield Span(start, end)
