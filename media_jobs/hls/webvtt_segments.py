"""Divide a transcript in WebVTT into segments of some minutes, as ranges of the file.

A player that begins in the middle of a long film then loads what it needs. And hls.js takes times more than 13 hours
after the beginning of their segment for those of a clock that has overflowed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# 10 s of the clock of MPEG-2 are 10 s in the cues. With 0 and 0, which mean the same, hls.js adds the time of the
# first segment that it loads to all cues.
HEAD = b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000\n\n"
_SEGMENT = 600.0  # seconds
_TIME = rb"(?:(\d+):)?(\d\d):(\d\d\.\d{3})"
_CUE = re.compile(rb"^%b --> %b" % (_TIME, _TIME), re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TextSegments:
    """Where segments begin, in seconds and in bytes. `offsets` also has the end of the last one."""

    begins: Sequence[float]
    offsets: Sequence[int]
    end: float  # of the last cue

    def __len__(self) -> int:
        return len(self.begins)

    def lengths(self, seconds: float) -> list[float]:
        """Of each segment, in a film that lasts `seconds`."""
        return [after - before for before, after in pairwise([*self.begins, max(self.end, seconds)])]


def find_segments(content: bytes) -> TextSegments:
    """Each segment but the first begins with a cue. The cues are in order and do not overlap, so none is cut."""
    cues = list(_CUE.finditer(content))
    begins, offsets, end = [0.0], [cues[0].start() if cues else len(content)], 1.0
    for cue in cues:
        hours, minutes, seconds, *until = cue.groups(b"0")
        start, end = _seconds(hours, minutes, seconds), _seconds(*until)
        if start >= begins[-1] + _SEGMENT:
            begins.append(start)
            offsets.append(cue.start())
    return TextSegments(begins, [*offsets, len(content)], max(end, begins[-1] + 1))


def _seconds(hours: bytes, minutes: bytes, seconds: bytes) -> float:
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
