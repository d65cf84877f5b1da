"""A rendition in one file: its init segment, its fragments, and at the end a table of its segments.

The table is a box of a type that players skip. With it, a playlist takes two short reads, however large the file is
and wherever it is stored.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from .boxes import DAMAGED, Box, box, boxes_in, u32
from .decoding_times import of_part
from .errors import CopyHelps, Unsuitable
from .file_reading import copy_range, reading
from .fragmented_file import Fragment, Fragments, read_fragments, read_init, summarize
from .fragments import fragment_head
from .movie import Read, read_language
from .sample_entries import Coding, read_coding
from .sample_tables import Integers
from .segments import LONGEST, TARGET, spaced, why_too_long

_ID = bytes.fromhex("6d696c6c72616365687473656700f001")
_HEADER = len(_ID) + 8
_TAIL = 64 * 1024  # has the table of two hours
_MOST_SEGMENTS = 1_000_000
_FEWEST_OF_HEAD = 2


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """Where segments are, and when they begin. Both have one more value, for the end of the last segment."""

    timescale: int
    begins: Integers
    offsets: Integers

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def times(self) -> list[Fraction]:
        return [Fraction(int(begin), self.timescale) for begin in self.begins]

    def to_bytes(self) -> bytes:
        head = _ID + u32(self.timescale, len(self))
        rows = self.begins.astype(">i8").tobytes() + self.offsets.astype(">i8").tobytes()
        size = 8 + len(head) + len(rows) + 4
        return box(b"uuid", head, rows, u32(size))


@dataclass(frozen=True, slots=True)
class Packaged:
    coding: Coding
    language: str
    table: SegmentTable


@dataclass(frozen=True, slots=True)
class Head:
    """What the init segment says about its track."""

    coding: Coding
    language: str
    timescale: int
    skipped: int  # of its beginning, in units: the priming of sound


def read_packaged(read: Read, size: int) -> Packaged:
    head = _read_head(read_init(read, size))
    return Packaged(head.coding, head.language, _read_table(read, size))


def _read_head(init: bytes) -> Head:
    trak = _trak(init)
    media = trak.inside(b"mdia")
    is_video = bytes(media.inside(b"hdlr").content[8:12]) == b"vide"
    coding = read_coding(media.inside(b"minf", b"stbl", b"stsd"), is_video=is_video)
    return Head(coding, read_language(media.inside(b"mdhd")), _timescale(trak), _skipped(trak))


def read_timescale(init: bytes) -> int:
    return _timescale(_trak(init))


def _trak(init: bytes) -> Box:
    moov = next((found for found in boxes_in(memoryview(init)) if found.type == b"moov"), None)
    if moov is None:
        raise Unsuitable(DAMAGED)
    return moov.inside(b"trak")


def _timescale(trak: Box) -> int:
    mdhd = trak.inside(b"mdia", b"mdhd")
    timescale = mdhd.integer(20 if mdhd.version else 12, 4)
    if not timescale:
        raise Unsuitable(DAMAGED)
    return timescale


def _skipped(trak: Box) -> int:
    """Raises CopyHelps if the track waits before its first sample: browsers ignore that."""
    if b"edts" not in trak.children:
        return 0
    elst = trak.inside(b"edts", b"elst")
    start = elst.integer(16, 8) if elst.version else elst.integer(12, 4)
    if elst.integer(4, 4) != 1 or start >> 31:
        raise CopyHelps("it begins late")
    return start


def _read_table(read: Read, size: int) -> SegmentTable:
    tail = read(max(0, size - _TAIL), _TAIL)
    length = struct.unpack(">I", tail[-4:])[0] if len(tail) >= 4 else 0
    if length > len(tail):
        tail = read(size - length, length) if length <= min(size, _HEADER + 16 * _MOST_SEGMENTS) else b""
    found = next((each for each in boxes_in(memoryview(tail)[-length:]) if length), None)
    if found is None or found.type != b"uuid" or bytes(found.content[: len(_ID)]) != _ID:
        raise Unsuitable("it has no table of its segments")
    return _parse_table(found)


def _parse_table(found: Box) -> SegmentTable:
    timescale, count = found.integer(len(_ID), 4), found.integer(len(_ID) + 4, 4)
    rows = np.frombuffer(found.content[_HEADER : _HEADER + 16 * (count + 1)], ">i8").astype(np.int64)
    if len(rows) != 2 * (count + 1) or not timescale:
        raise Unsuitable(DAMAGED)
    return SegmentTable(timescale, rows[: count + 1], rows[count + 1 :])


def pack_copy(path: Path, *, is_head: bool = False) -> tuple[SegmentTable, Fragments]:
    """Append its table to a track that ffmpeg has copied. Raises Unsuitable if it cannot be cut often enough.

    Of the head of a track the last segment is left out, as more follows in the whole track.
    """
    with reading(path) as (read, size):
        fragments, head = summarize(read_fragments(read, size)), _read_head(read_init(read, size))
    is_video, timescale = bool(head.coding.width), head.timescale
    possible = _playable(fragments) if is_video else np.arange(len(fragments))
    if not len(possible) or possible[0] != 0:
        raise Unsuitable("it does not begin with a key frame")
    chosen = possible[spaced(fragments.begin[possible], TARGET * timescale)]
    table = _table(fragments, chosen, head, size)
    if is_video and int(np.diff(table.begins).max()) > LONGEST * timescale:
        raise Unsuitable(why_too_long(is_open=len(possible) < int(fragments.is_key.sum())))
    if is_head:
        table = _without_last(path, table)
    _append(path, table)
    return table, fragments


def pack_sound(path: Path, *, is_head: bool = False) -> SegmentTable:
    """Append its table to sound that was encoded."""
    return pack_copy(path, is_head=is_head)[0]


def pack_run(
    made: Path, fragments: Sequence[Fragment], path: Path, first: int, end: Fraction | None
) -> tuple[SegmentTable, int]:
    """Write fragments of an encoded picture as part of a rendition: each is a segment. Returns also their frames.

    `first` is the number of the first segment in the rendition, and `end` when the next part begins. Raises
    Unsuitable.
    """
    if not fragments:
        raise Unsuitable("it has no samples")
    with reading(made) as (read, size):
        init = read_init(read, size)
    timescale = read_timescale(init)
    begins, offsets, frames = [], [], 0
    with path.open("wb") as file:
        file.write(init)
        bounds = [each.begin for each in fragments[1:]]
        bounds.append(fragments[-1].end if end is None else round(end * timescale))
        for number, (fragment, bound) in enumerate(zip(fragments, bounds, strict=True)):
            begins.append(fragment.begin)
            offsets.append(file.tell())
            frames += len(fragment.size)
            decoded, duration = of_part(fragment.presented, bound)
            file.write(fragment_head(first + number + 1, fragment.begin, duration, fragment.size, fragment.is_key,
                                     fragment.presented - decoded))  # fmt: skip
            copy_range(made, fragment.data, fragment.data_end, file)
        table = SegmentTable(timescale, np.array([*begins, bounds[-1]]), np.array([*offsets, file.tell()]))
        file.write(table.to_bytes())
    return table, frames


def _playable(fragments: Fragments) -> Integers:
    """The fragments that a segment may begin with: see segments.playable_cuts."""
    after = np.minimum.accumulate(fragments.begin[::-1])[::-1]
    before = np.concatenate(([np.iinfo(np.int64).min], np.maximum.accumulate(fragments.latest)[:-1]))
    return np.flatnonzero(fragments.is_key & (fragments.first == after) & (fragments.first > before))


def _table(fragments: Fragments, chosen: Integers, head: Head, size: int) -> SegmentTable:
    begins = np.maximum(np.append(fragments.begin[chosen], fragments.end.max()) - head.skipped, 0)
    return SegmentTable(head.timescale, begins, np.append(fragments.offset[chosen], size))


def _without_last(path: Path, table: SegmentTable) -> SegmentTable:
    if len(table) < _FEWEST_OF_HEAD:
        raise Unsuitable("its first segment is too long")
    os.truncate(path, int(table.offsets[-2]))
    return SegmentTable(table.timescale, table.begins[:-1], table.offsets[:-1])


def _append(path: Path, table: SegmentTable) -> None:
    with path.open("ab") as file:
        file.write(table.to_bytes())


def count_frames(path: Path) -> int:
    with reading(path) as (read, size):
        return sum(len(fragment.size) for fragment in read_fragments(read, size))


def join_runs(runs: Sequence[Path], target: Path) -> SegmentTable:
    """Write the init segment of the first run, the fragments of all, and a table of all segments."""
    with target.open("wb") as joined:
        begins, offsets, at = [], [], 0
        for number, path in enumerate(runs):
            with reading(path) as (read, size):
                table = _read_table(read, size)
            start = int(table.offsets[0]) if number else 0
            begins.append(table.begins[:-1])
            offsets.append(table.offsets[:-1] - start + at)
            at += copy_range(path, start, int(table.offsets[-1]), joined)
        whole = SegmentTable(table.timescale, np.concatenate([*begins, table.begins[-1:]]),
                             np.append(np.concatenate(offsets), at))  # fmt: skip
        joined.write(whole.to_bytes())
    return whole
