"""The sample tables of a track: for each sample its time, size, place in the file, and whether it is a key frame.

A table stores runs, so a few hostile bytes can announce billions of samples. All counts are checked before memory is
taken for them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .boxes import DAMAGED, Box
from .errors import CopyHelps, Unsuitable

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
# Of one track: 24 hours at 60 frames a second have 5 million. The arrays of 8 million take 330 MB.
MOST_SAMPLES = 8_000_000


@dataclass(frozen=True, slots=True)
class Samples:
    """One value for each sample, in decoding order. Times are in units of the track's timescale."""

    dts: Integers
    duration: Integers
    composition: Integers  # presentation time - decoding time; never negative
    size: Integers
    offset: Integers  # in the file
    is_sync: Flags

    @property
    def pts(self) -> Integers:
        return self.dts + self.composition

    def __len__(self) -> int:
        return len(self.dts)


def read_samples(stbl: Box, size_of_file: int) -> Samples:
    tables = stbl.children
    size = _sizes(tables, size_of_file)
    count = len(size)
    duration = _runs(_table(tables, b"stts", 2), count)
    composition = _runs(_signed(_table(tables, b"ctts", 2)), count) if b"ctts" in tables else np.zeros_like(size)
    dts = np.concatenate(([0], np.cumsum(duration)[:-1]))
    # Negative offsets (version 1, and some programs in version 0): decode all that much earlier instead.
    earliest = min(0, int(composition.min()))
    offset = _offsets(tables, size)
    if int(offset.min()) < 0 or int((offset + size).max()) > size_of_file:
        raise Unsuitable("its end is missing")
    return Samples(dts + earliest, duration, composition - earliest, size, offset, _sync(tables, count))


def _table(tables: dict[bytes, Box], name: bytes, columns: int, header: int = 8) -> Integers:
    """The rows of a table of 32-bit integers: a full box with the number of rows before them."""
    found = tables.get(name)
    if found is None:
        raise Unsuitable(DAMAGED)
    rows = found.integer(header - 4, 4)
    if header + rows * columns * 4 > len(found.content):
        raise Unsuitable(DAMAGED)
    raw = np.frombuffer(found.content, ">u4", rows * columns, header)
    return raw.astype(np.int64).reshape(rows, columns)


def _signed(table: Integers) -> Integers:
    signed = table.copy()
    signed[:, 1] = table[:, 1].astype(np.uint32).view(np.int32)
    return signed


def _sizes(tables: dict[bytes, Box], size_of_file: int) -> Integers:
    stsz = tables.get(b"stsz")
    if stsz is None:
        raise CopyHelps("it has compact sample sizes") if b"stz2" in tables else Unsuitable(DAMAGED)
    same, count = stsz.integer(4, 4), stsz.integer(8, 4)
    if not 0 < count <= MOST_SAMPLES or same * count > size_of_file:
        raise Unsuitable("it has no samples" if not count else DAMAGED)
    return np.full(count, same, np.int64) if same else _table(tables, b"stsz", 1, header=12)[:, 0]


def _runs(table: Integers, count: int) -> Integers:
    """Expand rows of (number of samples, value)."""
    times, values = table[:, 0], table[:, 1]
    if int(times.sum()) != count or (len(times) and int(times.max()) > count):
        raise Unsuitable(DAMAGED)
    return np.repeat(values, times)


def _offsets(tables: dict[bytes, Box], size: Integers) -> Integers:
    """The place of each sample: that of its chunk, and after the samples before it in the chunk."""
    chunks = _table(tables, b"stco", 1)[:, 0] if b"stco" in tables else _large_offsets(tables)
    per_chunk = _samples_per_chunk(_table(tables, b"stsc", 3), len(chunks), len(size))
    first = np.cumsum(per_chunk) - per_chunk  # the first sample of each chunk
    before = np.cumsum(size) - size  # bytes of all samples before this one
    chunk = np.repeat(np.arange(len(chunks)), per_chunk)
    offset: Integers = chunks[chunk] + before - before[first[chunk]]
    return offset


def _large_offsets(tables: dict[bytes, Box]) -> Integers:
    found = tables.get(b"co64")
    if found is None:
        raise Unsuitable(DAMAGED)
    count = found.integer(4, 4)
    if 8 + count * 8 > len(found.content):
        raise Unsuitable(DAMAGED)
    return np.frombuffer(found.content, ">u8", count, 8).astype(np.int64)


def _samples_per_chunk(table: Integers, chunks: int, samples: int) -> Integers:
    first, number, description = table.T
    if not len(first) or not chunks or first[0] != 1 or np.any(np.diff(first) <= 0) or first[-1] > chunks:
        raise Unsuitable(DAMAGED)
    if np.any(description != 1):
        raise Unsuitable("its format changes in the middle")
    if int(number.max()) > samples:
        raise Unsuitable(DAMAGED)
    per_chunk = np.repeat(number, np.diff(np.append(first, chunks + 1)))
    if int(per_chunk.sum()) != samples:
        raise Unsuitable(DAMAGED)
    return per_chunk


def _sync(tables: dict[bytes, Box], count: int) -> Flags:
    """Which samples are key frames. Without a table all are."""
    if b"stss" not in tables:
        return np.ones(count, np.bool_)
    numbers = _table(tables, b"stss", 1)[:, 0]
    if len(numbers) and (int(numbers.min()) < 1 or int(numbers.max()) > count):
        raise Unsuitable(DAMAGED)
    found = np.zeros(count, np.bool_)
    found[numbers - 1] = True
    return found
