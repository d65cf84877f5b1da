"""Still pictures: JPEG, APNG, BMP, TIFF and JPEG XL."""

from .numbers import be, le


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
    # The magic is two bytes only, and what follows is dense: all that can be asked is a possible size.
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
