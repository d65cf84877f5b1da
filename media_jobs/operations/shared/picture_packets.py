"""The time stamps of all packets of a picture, read by ffmpeg in the sandbox. That works without an index, too."""

import re
from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import ToolFailed
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import VideoStream
from ...hls.sample_tables import Flags, Integers
from ..base import Work

BACKWARDS = "Non-monotonic DTS"  # a warning of ffmpeg, which has made up others
_DAMAGED = re.compile(r"^\[(?:dec:)?h264 @ \S+\] \[error\]", re.MULTILINE)
_UNKNOWN = -(2**63)  # what ffmpeg prints for a time stamp that is missing
_MOST = 10_000_000  # packets: eleven hours at 240 frames a second
_OTHER = "F=0x"  # after a packet that is no key frame


@dataclass(frozen=True, slots=True)
class PicturePackets:
    """One value for each packet, in decoding order. Times are in units, as the file has them."""

    unit: Fraction  # seconds
    presented: Integers
    is_key: Flags


def is_damaged(log: str) -> bool:
    """Whether ffmpeg found wrong bytes in an H.264 picture: some packets are no frames, and a copy is as damaged."""
    return _DAMAGED.search(log) is not None


def read_picture_packets(work: Work[Any], picture: VideoStream) -> PicturePackets | None:
    """None if a time is unknown, or they go backwards. Reads the whole file."""
    path = work.folder / "packets.txt"
    facts = work.main.facts
    options = ("-map", f"0:{picture.index}", "-c", "copy", "-f", "framecrc")
    command = Command([Source(work.main.path, facts.format, ("-copyts",))], [Target(path, options)])
    try:
        log = work.tools.ffmpeg(command, seconds=facts.duration, verb="Read")
    except ToolFailed:
        return None
    unit, presented, is_key = Fraction(1), array("q"), bytearray()
    with path.open() as lines:
        for line in lines:
            if line.startswith("#tb 0:"):
                unit = Fraction(line.partition(":")[2].strip())
            elif line.startswith("0,") and len(presented) < _MOST:
                presented.append(int(line.split(",", 3)[2]))
                is_key.append(_OTHER not in line)
    path.unlink()
    if BACKWARDS in log or _UNKNOWN in presented or len(presented) == _MOST:
        return None
    return PicturePackets(unit, np.array(presented, np.int64), np.array(is_key, np.uint8).astype(np.bool_))
