"""The bytes of a rendition: its init segment, and each segment as a `moof` box and ranges of the original file."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .boxes import box, full_box, u16, u32, u64
from .sample_entries import sample_table
from .sample_tables import Flags, Integers
from .segments import Rendition

_UNITY = u32(1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
# Flags of a sample: it depends on no other, or on others and is no key frame.
_KEY, _OTHER = 0x02000000, 0x01010000
# Flags of boxes: what follows in them.
_DEFAULT_BASE_IS_MOOF, _HAS_DESCRIPTION = 0x020000, 0x000002
_DATA_OFFSET, _DURATION, _SIZE, _FLAGS, _COMPOSITION = 0x001, 0x100, 0x200, 0x400, 0x800
_SIGNED = 1  # the version of `trun` with signed composition offsets
_LARGEST_SMALL_BOX = (1 << 32) - 1
Table = npt.NDArray[np.uint32]
MEDIA_TYPE = "video/mp4"


@dataclass(frozen=True, slots=True)
class Segment:
    """What is sent for a segment: `head`, and then these ranges (start, end) of the original."""

    head: bytes
    ranges: list[tuple[int, int]]

    @property
    def size(self) -> int:
        return len(self.head) + sum(end - start for start, end in self.ranges)


def init_segment(rendition: Rendition) -> bytes:
    track, is_video = rendition.track, bool(rendition.track.coding.width)
    media_header = box(b"vmhd", u32(1), bytes(8)) if is_video else box(b"smhd", u32(0), bytes(4))
    handler = b"vide" if is_video else b"soun"
    information = box(
        b"minf", media_header,
        box(b"dinf", full_box(b"dref", 0, 0, u32(1), full_box(b"url ", 0, 1))), sample_table(track.coding),
    )  # fmt: skip
    media = box(
        b"mdia", full_box(b"mdhd", 0, 0, u32(0, 0, track.timescale, 0), u16(_packed(track.language), 0)),
        full_box(b"hdlr", 0, 0, u32(0), handler, bytes(12), b"Media\0"), information,
    )  # fmt: skip
    header = full_box(
        b"tkhd", 0, 3, u32(0, 0, 1, 0, 0), bytes(8), u16(0, 0, 0 if is_video else 0x0100, 0), track.display
    )
    # Takes the delay back: the first picture is presented at its time, and the priming of the sound is cut off.
    edit = full_box(b"elst", 0, 0, u32(1, 0, rendition.timing.delay, 1 << 16))
    movie = box(
        b"moov", full_box(b"mvhd", 0, 0, u32(0, 0, track.timescale, 0, 1 << 16), u16(0x0100), bytes(10), _UNITY,
                          bytes(24), u32(2)),
        box(b"trak", header, box(b"edts", edit), media),
        box(b"mvex", full_box(b"trex", 0, 0, u32(1, 1, 0, 0, 0))),
    )  # fmt: skip
    return box(b"ftyp", b"iso6", u32(0), b"iso6cmfcmp41") + movie


def _packed(language: str) -> int:
    first, second, third = (ord(letter) - 0x60 for letter in language or "und")
    return first << 10 | second << 5 | third


def segment(rendition: Rendition, number: int) -> Segment:
    """Make segment `number`, from 0."""
    samples, timing = rendition.track.samples, rendition.timing
    first, last = int(rendition.cuts[number]), int(rendition.cuts[number + 1])
    size = samples.size[first:last]
    decoded = int(samples.dts[first] - samples.dts[0]) + timing.start
    head = fragment_head(
        number + 1, decoded, samples.duration[first:last], size, rendition.is_key[first:last],
        samples.composition[first:last],
    )  # fmt: skip
    return Segment(head, _ranges(samples.offset[first:last], size))


def fragment_head(
    sequence: int, decoded: int, duration: Integers, size: Integers, is_key: Flags, composition: Integers
) -> bytes:
    """Everything of a fragment before its samples, which are decoded from the time `decoded` on."""
    run = np.empty((len(size), 4), ">u4")
    run[:, 0], run[:, 1], run[:, 3] = duration, size, composition.astype(np.int32).view(np.uint32)
    run[:, 2] = np.where(is_key, _KEY, _OTHER)
    mdat = _mdat_header(int(size.sum()))
    return _moof(sequence, decoded, run, len(mdat)) + mdat


def _moof(sequence: int, decoded: int, run: Table, mdat_header: int) -> bytes:
    flags = _DATA_OFFSET | _DURATION | _SIZE | _FLAGS | _COMPOSITION

    def made(data_offset: int) -> bytes:
        return box(
            b"moof", full_box(b"mfhd", 0, 0, u32(sequence)),
            box(
                b"traf", full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF | _HAS_DESCRIPTION, u32(1, 1)),
                full_box(b"tfdt", 1, 0, u64(decoded)),
                full_box(b"trun", _SIGNED, flags, u32(len(run), data_offset), run.tobytes()),
            ),
        )  # fmt: skip

    return made(len(made(0)) + mdat_header)


def _mdat_header(size: int) -> bytes:
    if size + 8 > _LARGEST_SMALL_BOX:
        return u32(1) + b"mdat" + u64(size + 16)
    return u32(size + 8) + b"mdat"


def _ranges(offset: Integers, size: Integers) -> list[tuple[int, int]]:
    """Join samples that follow each other in the file."""
    end = offset + size
    begins = np.flatnonzero(np.append(True, offset[1:] != end[:-1]))
    ends = np.append(begins[1:], len(offset)) - 1
    return list(zip(offset[begins].tolist(), end[ends].tolist(), strict=True))
