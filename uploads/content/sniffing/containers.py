"""The other containers: Matroska and WebM, Ogg, Flash, MXF, DV and the MPEG program stream."""

import re
from collections.abc import Iterator
from itertools import islice

from .checks import Check
from .numbers import be


def _vint(head: bytes, at: int) -> tuple[int, int]:
    """EBML's number of variable length, and where it ends."""
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
    """How each logical stream begins: their first pages come before everything else."""
    at = 0
    while head.startswith(b"OggS\0", at) and be(head, at + 5, 1) & 2:
        body = at + 27 + be(head, at + 26, 1)
        yield head[body : body + 8]
        at = body + sum(head[at + 27 : body])


def has_stream(*starts: bytes) -> Check:
    return lambda head: any(start.startswith(starts) for start in islice(_ogg_streams(head), 64))


def is_flv(head: bytes) -> bool:
    return be(head, 4, 1) & 0xFA == 0 and be(head, 5, 4) == 9  # the flags for picture and sound; own size


# The header partition's key, its status, and a length: the key alone also stands in databases of magic words.
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
