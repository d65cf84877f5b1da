"""The part of a file that is read at once: all of it, or a run of seconds of a long one."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..shared.time_range import seek_option

_SAME = 1e-6  # seconds by which equal times may differ


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` to before `end`; None: to the end of the file. What is in the lead is read, but not reported."""

    begin: float = 0.0
    end: float | None = None
    lead: float = 0.0

    @property
    def spec(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_whole(self) -> bool:
        return self.begin == 0 and self.end is None

    @property
    def options(self) -> tuple[str, ...]:
        """Of the source. Times are those of the whole file."""
        if self.is_whole:
            return ()
        start = max(0.0, self.begin - self.lead)
        length = () if self.end is None else ("-t", f"{self.end - start:.6f}")
        return ("-copyts", "-start_at_zero", *seek_option(start), *length)

    def contains(self, time: float) -> bool:
        is_late_enough = self.begin == 0 or time >= self.begin - _SAME
        return is_late_enough and (self.end is None or time < self.end - _SAME)

    def seconds(self, whole: float | None) -> float | None:
        """How long it is, in media of this length."""
        end = whole if self.end is None else self.end
        return None if end is None else max(0.0, end - self.begin)


def spans(duration: float, length: float, lead: float) -> Iterator[Span]:
    """Spans of this length. The last one may be half as long again: it has what would be too short for its own."""
    count = max(1, round(duration / length))
    for number in range(count):
        yield Span(number * length, (number + 1) * length if number + 1 < count else None, lead)
