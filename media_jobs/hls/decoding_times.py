"""When samples that were encoded in parts are decoded.

An encoder begins to decode each part a different while before its first frame: with the times that it gives, parts of
a variable frame rate overlap. So they are made anew from the times at which the samples are presented.
"""

import numpy as np

from .sample_tables import Integers


def of_part(presented: Integers, end: int) -> tuple[Integers, Integers]:
    """Of a part that is played before the next one is there: decoded from its first frame to `end`. And durations.

    A sample may be decoded later than it is presented, which browsers allow.
    """
    shown = np.sort(presented)
    # Each sample lasts until the next one is shown, in the order of decoding, too.
    lasts = np.diff(np.append(shown, max(end, int(shown[-1]) + 1)))
    duration = lasts[np.searchsorted(shown, presented)]
    return int(shown[0]) + np.cumsum(duration) - duration, duration


def of_whole(presented: Integers) -> Integers:
    """Of all parts, one after the other: none is decoded later than it is presented, as programs expect it.

    Each sample is decoded when that one is presented which is shown some places before it: as many as needed.
    """
    shown = np.sort(presented)
    places = np.arange(len(shown))
    early = int((places - np.searchsorted(shown, presented)).max())
    step = max(1, int(shown[1] - shown[0])) if len(shown) > 1 else 1
    return np.append(shown[0] - step * np.arange(early, 0, -1), shown[: len(shown) - early])
