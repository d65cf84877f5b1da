"""Where an MP4 or MOV has its index (the box moov), and whether its end is missing, from its outermost boxes."""

import os
from typing import Any

from ...hls.boxes import parse_header
from ...hls.errors import Unsuitable

_MOST_BOXES = 50  # enough to find the index of a film; a recording in fragments has thousands


def file_layout(number: int) -> dict[str, Any]:
    """Facts of the open file with this descriptor."""
    size, at, names = os.fstat(number).st_size, 0, list[bytes]()
    while at < size and len(names) < _MOST_BOXES:
        try:
            box = parse_header(os.pread(number, 16, at), at, size)
        except Unsuitable:
            return {"index": _index(names), "is_cut_off": True}
        names.append(box.type)
        at = box.end
    return {"index": _index(names)}


def _index(names: list[bytes]) -> str:
    if b"moof" in names:
        return "fragments"
    if b"moov" not in names:
        return ""
    return "last" if b"mdat" in names[: names.index(b"moov")] else "first"
