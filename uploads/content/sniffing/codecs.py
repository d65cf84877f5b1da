"""Checks of files of one codec without a container: images, audio with its own header, and bare video."""

import re
from itertools import islice

from .signature_checks import HEAD_SIZE, be, le


def is_jpeg(head: bytes) -> bool:
    marker, after = be(head, 3, 1), 4 + be(head, 4, 2)
    return 0xC0 <= marker <= 0xFE and after > 5 and head[after : after + 1] in (b"\xff", b"")


def is_animated(head: bytes) -> bool:
    return b"acTL" in head.partition(b"IDAT")[0]


def is_bmp(head: bytes) -> bool:
    header = le(head, 14, 4)
    planes = le(head, 22 if header == 12 else 26, 2)
    return not any(head[6:10]) and header in (12, 40, 52, 56, 64, 108, 124) and planes == 1


def is_tiff(head: bytes) -> bool:
    return (le if head.startswith(b"I") else be)(head, 4, 4) >= 8


def is_jxl(head: bytes) -> bool:
    # The magic has only two bytes, and most values of the next bits are valid. Check that the size is plausible.
    bits = le(head, 2, 16)
    small = bits & 1
    height, bits = _jxl_side(bits >> 1, small)
    width = height if bits & 7 else _jxl_side(bits >> 3, small)[0]
    return len(head) > 12 and max(width, height) <= 65536


def _jxl_side(bits: int, small: int) -> tuple[int, int]:
    if small:
        return ((bits & 31) + 1) * 8, bits >> 5
    length, bits = (9, 13, 18, 30)[bits & 3], bits >> 2
    return (bits & ((1 << length) - 1)) + 1, bits >> length


def is_ape(head: bytes) -> bool:
    return 3800 <= le(head, 4, 2) < 4200  # the version: from 3.80 on, as ffmpeg can decode


def is_wavpack(head: bytes) -> bool:
    return 0x402 <= le(head, 8, 2) <= 0x410


def is_tta(head: bytes) -> bool:
    return le(head, 4, 2) in (1, 2) and le(head, 6, 2) > 0


def is_musepack7(head: bytes) -> bool:
    return be(head, 3, 1) & 15 == 7


def is_au(head: bytes) -> bool:
    return 24 <= be(head, 4, 4) < HEAD_SIZE and 1 <= be(head, 12, 4) <= 27


def is_flac(head: bytes) -> bool:
    return be(head, 4, 4) & 0x7FFFFFFF == 34  # the first block is STREAMINFO


def is_dts(head: bytes) -> bool:
    return head.find(head[:4], 64, 20480) > 0  # a second frame: the maximum length of one is 20480


_Y4M = re.compile(rb"YUV4MPEG2 (?=[^\n]{0,200}W\d)(?=[^\n]{0,200}H\d)[^\n]{1,400}\nFRAME[ \n]")


def is_y4m(head: bytes) -> bool:
    return _Y4M.match(head) is not None


def is_mpeg_sequence(head: bytes) -> bool:
    size, shape, marker = be(head, 4, 3), be(head, 7, 1), be(head, 10, 1) & 0x20
    possible = size >> 12 and size & 0xFFF and 1 <= shape >> 4 <= 14 and 1 <= shape & 15 <= 8 and marker
    # After it, and after at most two tables of 64 bytes: an extension, user data, a group or a picture.
    after = head.find(b"\0\0\1", 12, 160)
    return bool(possible) and head[after + 3 : after + 4] in (b"\xb5", b"\xb2", b"\xb8", b"\0")


def is_av1(head: bytes) -> bool:
    # Temporal delimiter, sequence header, and after it another unit with a size.
    size = be(head, 3, 1)
    return 4 < size < 64 and be(head, 4 + size, 1) in (0x0A, 0x1A, 0x22, 0x2A, 0x32)


_START_CODE = re.compile(rb"\x00\x00\x01")
_H264_PROFILES = {44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244}
_H264_LEVELS = {9, 13, *(10 * whole + tenths for whole in range(1, 7) for tenths in range(3))}


def _units(head: bytes) -> list[bytes]:
    """Return the first bytes of the first NAL units of a byte stream."""
    return [head[code.end() : code.end() + 8] for code in islice(_START_CODE.finditer(head), 16)]


def is_h264(head: bytes) -> bool:
    kinds = [be(unit, 0, 1) & 0x9F for unit in _units(head)]  # and the bit that must be zero
    sps = kinds.index(7) if 7 in kinds else -1
    if sps < 0 or 8 not in kinds[sps:] or not set(kinds[:sps]) <= {6, 9}:  # only SEI and delimiters may come first
        return False
    profile, flags, level = _units(head)[sps][1:4].ljust(3, b"\0")
    return profile in _H264_PROFILES and flags & 3 == 0 and level in _H264_LEVELS


def is_h265(head: bytes) -> bool:
    units = [unit for unit in _units(head) if unit[:2] not in (b"\x46\1", b"\x4e\1")]  # delimiter, SEI
    kinds = [unit[:2] for unit in units]
    # VPS (with its sixteen reserved ones), SPS, PPS
    return kinds[:1] == [b"\x40\1"] and units[0][4:6] == b"\xff\xff" and {b"\x42\1", b"\x44\1"} <= set(kinds)
