"""MP4, QuickTime and HEIF: boxes within boxes, and the brands that the first one lists."""

import re
from collections.abc import Iterator

from .checks import Check
from .numbers import be
from .types import HEAD_SIZE


def _boxes(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the outermost MP4 boxes that begin within the head."""
    at = 0
    for _ in range(64):
        size, kind = be(head, at, 4), head[at + 4 : at + 8]
        size = be(head, at + 8, 8) if size == 1 else size
        if size < 8 or len(kind) < 4:
            return
        yield kind, at, at + size
        at += size


def _brands(head: bytes) -> list[bytes]:
    """The major brand and those it is compatible with; none when this is not an honest `ftyp`."""
    size = be(head, 0, 4)
    if size % 4 or not 16 <= size <= 4096 or not head[8:12].isascii():
        return []
    return [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))]


def has_brands(head: bytes) -> bool:
    return bool(_brands(head))


def is_brand(brand: bytes) -> Check:
    return lambda head: brand in _brands(head)


def is_mp4_sound(head: bytes) -> bool:
    """Known only when the whole index comes first, as in files made for streaming."""
    for kind, start, end in _boxes(head):
        if kind == b"moov" and end <= len(head):
            handlers = re.findall(rb"hdlr.{8}(vide|soun)", head[start:end], re.DOTALL)
            return set(handlers) == {b"soun"} and has_brands(head)
    return False


def is_movie_without_ftyp(head: bytes) -> bool:
    """QuickTime before 2001, and cameras after it, start with the index, the samples or some padding."""
    for kind, start, end in _boxes(head):
        if kind == b"moov":
            # mvhd, or a compressed index; not rmra, which only points at other files.
            return head[start + 12 : start + 16] in (b"mvhd", b"cmov")
        if kind == b"mdat":
            return end <= len(head) or len(head) == HEAD_SIZE
        if kind not in (b"wide", b"free", b"skip", b"pnot", b"PICT", b"junk"):
            return False
    return False
