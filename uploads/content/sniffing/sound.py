"""Sound in files of its own, each with a header."""

from .numbers import be, le
from .types import HEAD_SIZE


def is_ape(head: bytes) -> bool:
    return 3800 <= le(head, 4, 2) < 4200  # the version: 3.80 and later, all that can be decoded


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
    return head.find(head[:4], 64, 20480) > 0  # a second frame: none is longer than this
