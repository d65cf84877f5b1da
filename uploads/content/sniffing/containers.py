"""Checks of containers: MP4, QuickTime, HEIF, Matroska, WebM, Ogg, Flash, MXF, DV and MPEG program streams."""

import re
from collections.abc import Iterator
from itertools import islice

from .signature_checks import HEAD_SIZE, Check, be


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
    """Return the major brand and the compatible brands of `ftyp`; none if it is malformed."""
    size = be(head, 0, 4)
    if size % 4 or not 16 <= size <= 4096 or not head[8:12].isascii():
        return []
    return [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))]


def has_brands(head: bytes) -> bool:
    return bool(_brands(head))


def is_brand(brand: bytes) -> Check:
    return lambda head: brand in _brands(head)


def is_mp4_sound(head: bytes) -> bool:
    """Whether the file has only audio. Detected only if the index comes first, as in files made for streaming."""
    for kind, start, end in _boxes(head):
        if kind == b"moov" and end <= len(head):
            handlers = re.findall(rb"hdlr.{8}(vide|soun)", head[start:end], re.DOTALL)
            return set(handlers) == {b"soun"} and has_brands(head)
    return False


def is_movie_without_ftyp(head: bytes) -> bool:
    """QuickTime files of before 2001, and of some cameras, begin with the index, the samples or padding."""
    for kind, start, end in _boxes(head):
        if kind == b"moov":
            # mvhd, or a compressed index. Not rmra, which only refers to other files.
            return head[start + 12 : start + 16] in (b"mvhd", b"cmov")
        if kind == b"mdat":
            return end <= len(head) or len(head) == HEAD_SIZE
        if kind not in (b"wide", b"free", b"skip", b"pnot", b"PICT", b"junk"):
            return False
    return False


def _vint(head: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length of EBML, and the position after it."""
    length = 9 - be(head, at, 1).bit_length()
    return be(head, at, length) & ((1 << 7 * length) - 1), at + length


def _doc_type(head: bytes) -> bytes:
    size, at = _vint(head, 4)
    end = at + min(size, 512)
    while at < end:
        body_size_at = _vint(head, at)[1]
        size, body = _vint(head, body_size_at)
        if head[at:body_size_at] == b"\x42\x82":
            return head[body : body + size].rstrip(b"\0")
        at = body + size
    return b""


def is_doc(doc_type: bytes, sound_only: bool = False) -> Check:
    def check(head: bytes) -> bool:
        return _doc_type(head) == doc_type and (not sound_only or set(_TRACK.findall(head)) == {b"A"})

    return check


_TRACK = re.compile(rb"\x86[\x83-\xa0]([AV])_[A-Z]")  # Matroska's CodecID: V_VP9, A_OPUS


def _ogg_streams(head: bytes) -> Iterator[bytes]:
    """Iterate over the first bytes of each logical stream: their first pages begin the file."""
    at = 0
    while head.startswith(b"OggS\0", at) and be(head, at + 5, 1) & 2:
        body = at + 27 + be(head, at + 26, 1)
        yield head[body : body + 8]
        at = body + sum(head[at + 27 : body])


def has_stream(*starts: bytes) -> Check:
    return lambda head: any(start.startswith(starts) for start in islice(_ogg_streams(head), 64))


def is_flv(head: bytes) -> bool:
    return be(head, 4, 1) & 0xFA == 0 and be(head, 5, 4) == 9  # the flags for audio and video; the size of the header


# The key of the header partition, its status, and a length. The key alone also occurs in databases of magic bytes.
_MXF = re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02[\x01-\x04]\x00[\x81-\x88]")


def is_mxf(head: bytes) -> bool:
    return _MXF.search(head) is not None


def is_dv(head: bytes) -> bool:
    # DIF blocks of 80 bytes: a header of 525 or 625 lines, two of subcode, then VAUX.
    return head[3:4] in (b"\x3f", b"\xbf") and [be(head, at, 1) >> 5 for at in (80, 160, 240)] == [1, 1, 2]


def is_program_stream(head: bytes) -> bool:
    if be(head, 4, 1) & 0xC4 == 0x44:  # MPEG-2
        after = 14 + (be(head, 13, 1) & 7)
    elif be(head, 4, 1) & 0xF1 == 0x21:  # MPEG-1
        after = 12
    else:
        return False
    return head.startswith(b"\0\0\1", after) and be(head, after + 3, 1) >= 0xB9
