"""The filters that mark the first frame, and how much others differ from that before. For `scenes` and `freeze`."""

from .detector import Marked

FIRST = "lavfi.first"
CHANGE = "lavfi.scd.mafd"  # percent of the range of values, on average over the picture
_LEAST = 1.0  # percent: less is not marked, or every frame of a film would be
FILTERS = (
    "scdet=t=100",
    "metadata=delete:key=lavfi.scd.score",
    f"metadata=delete:key={CHANGE}:value={_LEAST}:function=less",
    f"metadata=add:key={FIRST}:value=1:enable=not(n)",
)


def change(marked: Marked) -> float:
    return float(marked.values.get(CHANGE, 0.0))
