"""Checks of streams without a file header, which are recognised by several packets or frames in a row.

MPEG transport streams, and frames of compressed audio: MPEG audio, ADTS, LOAS, AC-3 and Enhanced AC-3.
"""

import re
from collections.abc import Callable
from itertools import islice

from .signature_checks import be

Frame = Callable[[bytes, int], tuple[int, int]]
"""Reads the header of a frame: its length (0: not a frame), and the bits that all frames of a stream share."""

_MPEG1_RATES = (
    (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_MPEG2_RATES = (
    (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)


def _mpeg_frame(head: bytes, at: int) -> tuple[int, int]:
    bits = be(head, at, 4)
    version, layer, rate, frequency = bits >> 19 & 3, 4 - (bits >> 17 & 3), bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or layer == 4 or rate in (0, 15) or frequency == 3:
        return 0, 0
    rates = _MPEG1_RATES[layer - 1] if version == 3 else _MPEG2_RATES[layer > 1]
    hertz = (44100, 48000, 32000)[frequency] >> (2, 0, 1, 0)[version]
    samples = 12 if layer == 1 else 72 if layer == 3 and version < 3 else 144  # divided by 8, for a size in bytes
    slots = samples * 1000 * rates[rate - 1] // hertz
    return (slots + (bits >> 9 & 1)) * (4 if layer == 1 else 1), bits & 0xFFFE0C00


def _adts_frame(head: bytes, at: int) -> tuple[int, int]:
    bits = be(head, at, 7)
    length = bits >> 13 & 0x1FFF
    if bits >> 40 & 0xFFF6 != 0xFFF0 or bits >> 34 & 15 > 12 or length < 8:
        return 0, 0
    return length, bits >> 30


def _loas_frame(head: bytes, at: int) -> tuple[int, int]:
    bits = be(head, at, 3)
    return (3 + (bits & 0x1FFF), 0) if bits >> 13 == 0x2B7 and bits & 0x1FFF else (0, 0)


_AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def _ac3_frame(head: bytes, at: int) -> tuple[int, int]:
    frequency, code, version = be(head, at + 4, 1) >> 6, be(head, at + 4, 1) & 63, be(head, at + 5, 1) >> 3
    if not head.startswith(b"\x0b\x77", at) or frequency == 3 or code > 37 or version > 10:
        return 0, 0
    rate = _AC3_RATES[code >> 1]
    words = (2 * rate, 320 * rate // 147 + (code & 1), 3 * rate)[frequency]
    return 2 * words, frequency


def _eac3_frame(head: bytes, at: int) -> tuple[int, int]:
    """Plain AC-3 frames between them are allowed, as on discs."""
    if not head.startswith(b"\x0b\x77", at) or not 10 < be(head, at + 5, 1) >> 3 <= 16:
        return _ac3_frame(head, at)[0], 0
    return 2 * ((be(head, at + 2, 2) & 0x7FF) + 1), 0


FRAMES: tuple[tuple[str, re.Pattern[bytes], Frame], ...] = (
    ("audio/mpeg", re.compile(rb"\xff(?=[\xe2-\xff])"), _mpeg_frame),
    ("audio/aac", re.compile(rb"\xff(?=[\xf0\xf1\xf8\xf9])"), _adts_frame),
    ("audio/ac3", re.compile(rb"\x0b\x77"), _ac3_frame),
    ("audio/eac3", re.compile(rb"\x0b\x77"), _eac3_frame),
    ("audio/mp4a-latm", re.compile(rb"\x56(?=[\xe0-\xff])"), _loas_frame),
)


def stream_type(head: bytes) -> str | None:
    if _is_transport_stream(head):
        return "video/mp2t"
    for name, sync, frame in FRAMES:
        if _are_frames(head, sync, frame):
            return name
    return None


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes, 192 on Blu-ray and in cameras, 204 in broadcasts. The first may be incomplete."""
    head = head[:4096]
    starts = [(at, size) for size in (188, 192, 204) for at in range(size) if head[at : at + 1] == b"G"]
    return any(_are_packets(head, at, size) for at, size in starts)


def _are_packets(head: bytes, at: int, size: int) -> bool:
    wanted = 5 if at in (0, size - 188) else 10
    syncs, fields = head[at::size][:wanted], head[at + 3 :: size][:wanted]
    # A packet without adaptation field and payload is invalid: this rules out runs of the letter G.
    return syncs.count(b"G") == wanted == len(fields) and all(field & 0x30 for field in fields)


def _are_frames(head: bytes, sync: re.Pattern[bytes], frame: Frame) -> bool:
    # Two frames at the beginning, or more after the incomplete frame that a recorded stream may begin with.
    return _follow(head, 0, frame, 2) or any(
        _follow(head, found.start(), frame, 5) for found in islice(sync.finditer(head, 1, 4096), 100)
    )


def _follow(head: bytes, at: int, frame: Frame, wanted: int) -> bool:
    length, shared = frame(head, at)
    for _ in range(wanted - 1):
        at += length
        before = shared
        length, shared = frame(head, at)
        if length == 0 or shared != before:
            return False
    return length > 0
