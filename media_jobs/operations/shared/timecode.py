"""The time code of a video: a label for each frame, HH:MM:SS:FF, of which files have that of the first frame.

Drop-frame time code (29.97 and 59.94 frames a second, with “;” before FF) leaves labels out so that it keeps up with
the clock: the first two or four of each minute but each tenth.
"""

import re
from dataclasses import dataclass
from math import ceil

_FORM = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)", re.ASCII)
_DAY = 24 * 60  # minutes
_NEARLY = 0.01  # of a frame: times are rounded


@dataclass(frozen=True, slots=True)
class Timecode:
    number: int  # of frames since 00:00:00:00
    nominal: int  # labels a second
    is_drop: bool

    @classmethod
    def parse(cls, text: str, rate: float) -> "Timecode | None":
        """None if the text is no time code, or none that a video of this frame rate can have."""
        found, nominal = _FORM.fullmatch(text), round(rate)
        if found is None or nominal < 1:
            return None
        hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
        if hours >= 24 or minutes >= 60 or seconds >= 60 or frames >= nominal:
            return None
        is_drop = found[4] != ":" and nominal % 30 == 0
        minutes += 60 * hours
        dropped = _dropped(nominal) * (minutes - minutes // 10) if is_drop else 0
        return cls((60 * minutes + seconds) * nominal + frames - dropped, nominal, is_drop)

    def after(self, frames: int) -> "Timecode":
        """The label of a later frame. A day later the labels begin again."""
        dropped = _dropped(self.nominal) * (_DAY - _DAY // 10) if self.is_drop else 0
        return Timecode((self.number + frames) % (_DAY * 60 * self.nominal - dropped), self.nominal, self.is_drop)

    def text(self, rate: float) -> str:
        """How a video of this frame rate labels the same moment."""
        label = self.number + (self._dropped_before() if self.is_drop else 0)
        seconds, frames = divmod(label, self.nominal)
        nominal = round(rate)
        colon = ";" if self.is_drop and nominal % 30 == 0 else ":"
        time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{time}{colon}{frames * nominal // self.nominal:02}"

    def _dropped_before(self) -> int:
        """How many labels were left out before this frame."""
        of_minute = _dropped(self.nominal)
        minute = 60 * self.nominal - of_minute  # frames; the first of ten has all labels
        tens, rest = divmod(self.number, 10 * minute + of_minute)
        return of_minute * (9 * tens + max(0, (rest - of_minute) // minute))


def timecode_of_part(text: str, source_rate: float, start: float, rate: float) -> str:
    """The time code of a part that begins `start` seconds after the first frame; "" if it cannot be told.

    `source_rate` and `rate` are the frames a second of the source and of the part.
    """
    first = Timecode.parse(text, source_rate)
    if first is None:
        return ""
    return first.after(max(0, ceil(start * source_rate - _NEARLY))).text(rate)


def _dropped(nominal: int) -> int:
    """The labels that most minutes leave out."""
    return nominal // 15
