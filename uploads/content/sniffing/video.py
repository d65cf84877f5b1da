"""Video, bare or as good as bare: YUV4MPEG2, MPEG-1 and MPEG-2, AV1, H.264 and H.265."""

import re
from itertools import islice

from .numbers import be

_Y4M = re.compile(rb"YUV4MPEG2 (?=[^\n]{0,200}W\d)(?=[^\n]{0,200}H\d)[^\n]{1,400}\nFRAME[ \n]")


def is_y4m(head: bytes) -> bool:
    return _Y4M.match(head) is not None


def is_mpeg_sequence(head: bytes) -> bool:
    size, shape, marker = be(head, 4, 3), be(head, 7, 1), be(head, 10, 1) & 0x20
    possible = size >> 12 and size & 0xFFF and 1 <= shape >> 4 <= 14 and 1 <= shape & 15 <= 8 and marker
    # Behind it, and behind two tables of 64 bytes at most: an extension, user data, a group or a picture.
    after = head.find(b"\0\0\1", 12, 160)
    return bool(possible) and head[after + 3 : after + 4] in (b"\xb5", b"\xb2", b"\xb8", b"\0")


def is_av1(head: bytes) -> bool:
    # Temporal delimiter, sequence header, and another unit with a size right behind that.
    size = be(head, 3, 1)
    return 4 < size < 64 and be(head, 4 + size, 1) in (0x0A, 0x1A, 0x22, 0x2A, 0x32)


_START_CODE = re.compile(rb"\x00\x00\x01")
_H264_PROFILES = {44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244}
_H264_LEVELS = {9, 13, *(10 * whole + tenths for whole in range(1, 7) for tenths in range(3))}


def _units(head: bytes) -> list[bytes]:
    """How the first NAL units of a byte stream begin."""
    return [head[code.end() : code.end() + 8] for code in islice(_START_CODE.finditer(head), 16)]


def is_h264(head: bytes) -> bool:
    kinds = [be(unit, 0, 1) & 0x9F for unit in _units(head)]  # with the bit that must be zero
    sps = kinds.index(7) if 7 in kinds else -1
    if sps < 0 or 8 not in kinds[sps:] or not set(kinds[:sps]) <= {6, 9}:  # only SEI and delimiter before it
        return False
    profile, flags, level = _units(head)[sps][1:4].ljust(3, b"\0")
    return profile in _H264_PROFILES and flags & 3 == 0 and level in _H264_LEVELS


def is_h265(head: bytes) -> bool:
    units = [unit for unit in _units(head) if unit[:2] not in (b"\x46\1", b"\x4e\1")]  # delimiter, SEI
    kinds = [unit[:2] for unit in units]
    # VPS (with its sixteen reserved ones), SPS, PPS
    return kinds[:1] == [b"\x40\1"] and units[0][4:6] == b"\xff\xff" and {b"\x42\1", b"\x44\1"} <= set(kinds)
