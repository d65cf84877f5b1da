"""Join the pictures of clips: the header of the first, and the fragments of all, whose times are moved.

The clips begin at 0 each. Nothing is decoded, so one new clip costs little more than its own work.
"""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from ...errors import Internal
from ...hls.boxes import Box, boxes_in
from ...hls.errors import Unsuitable
from ...hls.file_reading import copy_range, reading
from ...hls.fragmented_file import Fragment, read_fragments, read_init
from .clip_encoder import ticks

_HEADER = 8  # bytes of a box before its content


def join_pictures(clips: Sequence[tuple[Path, int]], rate: Fraction, target: Path) -> None:
    """Write one fragmented MP4 of clips and their numbers of frames."""
    try:
        found = [_fragments_of(path) for path, _ in clips]
        latest = max(fragments[0].begin for fragments in found)
        with target.open("wb") as joined:
            joined.write(_init_of(clips[0][0]))
            before, number = 0, 0
            for (path, frames), fragments in zip(clips, found, strict=True):
                # Encoders delay their first frame by what they reorder; all frames get the longest of these delays.
                shift = before * ticks(rate)[1] + latest - fragments[0].begin
                number = _append(path, fragments, shift, number, joined)
                before += frames
    except Unsuitable as damage:
        raise Internal(f"A clip cannot be joined: {damage}.") from damage


def _fragments_of(path: Path) -> list[Fragment]:
    with reading(path) as (read, size):
        fragments = list(read_fragments(read, size))
    if not fragments:
        raise Unsuitable("it has no frames")
    return fragments


def _init_of(path: Path) -> bytes:
    with reading(path) as (read, size):
        return read_init(read, size)


def _append(path: Path, fragments: Sequence[Fragment], shift: int, number: int, joined: BinaryIO) -> int:
    """Copy the fragments with later times and higher numbers. Returns the number of the last one."""
    with reading(path) as (read, size):
        ends = [*(fragment.offset for fragment in fragments[1:]), size]
        for fragment, end in zip(fragments, ends, strict=True):
            number += 1
            length = int.from_bytes(read(fragment.offset, 4), "big")
            moof = bytearray(read(fragment.offset, length))
            _move(moof, shift, number)
            joined.write(moof)
            copy_range(path, fragment.offset + length, end, joined)
    return number


def _move(moof: bytearray, shift: int, number: int) -> None:
    view = memoryview(moof)
    for box in boxes_in(view[_HEADER:]):
        if box.type == b"mfhd":
            struct.pack_into(">I", box.content, 4, number)
        for inner in _tfdt_of(box):
            if inner.version != 1:
                raise Unsuitable("its times are too short")
            struct.pack_into(">Q", inner.content, 4, inner.integer(4, 8) + shift)


def _tfdt_of(box: Box) -> Iterator[Box]:
    if box.type == b"traf":
        yield from (inner for inner in boxes_in(box.content) if inner.type == b"tfdt")
