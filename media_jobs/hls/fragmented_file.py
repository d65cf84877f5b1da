"""Read a fragmented MP4 with one track, made by ffmpeg: its fragments, and when their samples are presented."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from .boxes import DAMAGED, Box, TopBox, boxes_in, parse_header
from .errors import Unsuitable
from .movie import Read
from .sample_tables import Flags, Integers

_LARGEST_MOOF = 16 * 1024**2
_LARGEST_INIT = 1024**2
_MOST_FRAGMENTS = 1_000_000
_LATEST = 1 << 48  # in units: ninety years at 90 kHz
_NOT_A_KEY = 0x010000  # of the flags of a sample
# Flags of `tfhd` and `trun`: which fields they have.
_BASE, _DESCRIPTION, _DEFAULT_DURATION, _DEFAULT_SIZE, _DEFAULT_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
_DATA_OFFSET, _FIRST_FLAGS, _DURATION, _SIZE, _FLAGS, _COMPOSITION = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
_COLUMNS = (_DURATION, _SIZE, _FLAGS, _COMPOSITION)


@dataclass(frozen=True, slots=True)
class Fragment:
    """The samples of one fragment, in decoding order. Times are in units of the track."""

    offset: int  # of its `moof`
    data: int  # where its samples are
    presented: Integers
    duration: Integers
    size: Integers
    is_key: Flags

    @property
    def data_end(self) -> int:
        return self.data + int(self.size.sum())

    @property
    def first(self) -> int:
        return int(self.presented[0])

    @property
    def begin(self) -> int:
        return int(self.presented.min())

    @property
    def latest(self) -> int:
        return int(self.presented.max())

    @property
    def end(self) -> int:
        return int((self.presented + self.duration).max())


@dataclass(frozen=True, slots=True)
class Fragments:
    """One value for each fragment, in the order of the file. Times are in units of the track."""

    offset: Integers  # of its `moof`
    first: Integers  # when its first sample is presented
    begin: Integers  # when its earliest sample is presented
    latest: Integers  # when its latest sample is presented
    end: Integers  # when its last sample ends
    samples: Integers
    is_key: Flags  # whether it begins with a key frame

    def __len__(self) -> int:
        return len(self.offset)


def read_init(read: Read, size: int) -> bytes:
    """All boxes before the first fragment."""
    for found, at in _top_boxes(read, size):
        if found.type == b"moof" and at <= _LARGEST_INIT:
            return read(0, at)
        if found.type in {b"moof", b"mdat"}:
            break
    raise Unsuitable(DAMAGED)


def summarize(fragments: Iterator[Fragment]) -> Fragments:
    """Raises Unsuitable if there is none."""
    rows = [
        (each.offset, each.first, each.begin, each.latest, each.end, len(each.size), each.is_key[0])
        for each in fragments
    ]
    if not rows:
        raise Unsuitable("it has no samples")
    offset, first, begin, latest, end, samples, is_key = np.array(rows, np.int64).T
    return Fragments(offset, first, begin, latest, end, samples, is_key.astype(np.bool_))


def finished_fragments(read: Read, size: int, start: int) -> list[Fragment]:
    """The whole fragments from the offset `start` on, of a file that is still being written."""
    found = []
    with suppress(Unsuitable):  # the last box is not whole yet
        for fragment in read_fragments(read, size, start):
            found.append(fragment)
    return [fragment for fragment in found if fragment.data_end <= size]


def read_fragments(read: Read, size: int, start: int = 0) -> Iterator[Fragment]:
    """Those from the offset `start` on."""
    number = 0
    for found, at in _top_boxes(read, size, start):
        if found.type == b"moof":
            number += 1
            if found.end - found.start > _LARGEST_MOOF or number > _MOST_FRAGMENTS:
                raise Unsuitable(DAMAGED)
            moof = Box(b"moof", memoryview(read(found.start, found.end - found.start)))
            yield _read_moof(moof, at)


def _top_boxes(read: Read, size: int, at: int = 0) -> Iterator[tuple[TopBox, int]]:
    while at < size:
        found = parse_header(read(at, 16), at, size)
        yield found, at
        at = found.end


def _read_moof(moof: Box, at: int) -> Fragment:
    traf = moof.inside(b"traf")
    tfdt, defaults = traf.inside(b"tfdt"), _defaults(traf.inside(b"tfhd"))
    runs = [_read_trun(found, defaults) for found in boxes_in(traf.content) if found.type == b"trun"]
    if not runs:
        raise Unsuitable(DAMAGED)
    duration, size, flags, composition = np.concatenate([samples for _, samples in runs]).T
    if not len(size):
        raise Unsuitable(DAMAGED)
    start = tfdt.integer(4, 8 if tfdt.version else 4)
    if start > _LATEST:
        raise Unsuitable("its time stamps are damaged")
    dts = start + np.cumsum(duration) - duration
    return Fragment(at, at + runs[0][0], dts + composition, duration, size, (flags & _NOT_A_KEY) == 0)


def _defaults(tfhd: Box) -> dict[int, int]:
    """The values for all samples of a fragment, by the flag of `trun` that replaces them."""
    flags = tfhd.integer(1, 3)
    at = 8 + 8 * bool(flags & _BASE) + 4 * bool(flags & _DESCRIPTION)
    found = {}
    for flag, name in ((_DEFAULT_DURATION, _DURATION), (_DEFAULT_SIZE, _SIZE), (_DEFAULT_FLAGS, _FLAGS)):
        if flags & flag:
            found[name] = tfhd.integer(at, 4)
            at += 4
    return found


def _read_trun(trun: Box, defaults: dict[int, int]) -> tuple[int, Integers]:
    """Where its data begins, counted from the `moof`, and for each sample duration, size, flags and composition."""
    flags, count = trun.integer(1, 3), trun.integer(4, 4)
    data, at = trun.integer(8, 4) if flags & _DATA_OFFSET else 0, 8 + 4 * bool(flags & _DATA_OFFSET)
    first_flags = trun.integer(at, 4) if flags & _FIRST_FLAGS else None
    at += 4 * bool(flags & _FIRST_FLAGS)
    there = [flag for flag in _COLUMNS if flags & flag]
    if at + 4 * count * len(there) > len(trun.content) or count > _LARGEST_MOOF:
        raise Unsuitable(DAMAGED)
    table = np.frombuffer(trun.content, ">u4", count * len(there), at).reshape(count, len(there)).astype(np.uint32)
    samples = np.empty((count, len(_COLUMNS)), np.int64)
    for place, flag in enumerate(_COLUMNS):
        column = table[:, there.index(flag)] if flag in there else np.full(count, defaults.get(flag, 0), np.uint32)
        samples[:, place] = column.view(np.int32) if flag == _COMPOSITION else column
    if first_flags is not None and count:
        samples[0, _COLUMNS.index(_FLAGS)] = first_flags
    return data, samples
