"""Read the index of an MP4 or MOV: its tracks, and whether the file can be played as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from .boxes import DAMAGED, Box, TopBox, boxes_in, parse_header
from .errors import CopyHelps, Unsuitable
from .sample_entries import Coding, read_coding
from .sample_tables import Integers, Samples, read_samples

# Of an index: that of two hours at 25 frames a second has 9 MB.
LARGEST_INDEX = 64 * 1024**2
_MOST_BOXES = 1000  # of the file itself
_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"}
_WHOLE_RATE = 1 << 16  # 1.0 in 16.16 bits
_EMPTY = -1
_DISPLAY = 44  # bytes at the end of `tkhd`
_CUT_END = Fraction(1, 2)  # seconds that an edit list may cut off the end

# Read `size` bytes of the file from an offset; fewer at its end.
Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the samples of a track are decoded and presented."""

    samples: Samples
    timescale: int  # units per second
    shift: int  # what its edit list adds to each time, in units

    @property
    def begin(self) -> Fraction:
        """When its first sample is presented, in seconds."""
        return Fraction(int(self.samples.pts.min()) + self.shift, self.timescale)

    @property
    def presented(self) -> Integers:
        """When each sample is presented, in units, in decoding order."""
        return self.samples.pts + self.shift


@dataclass(frozen=True, slots=True)
class Track(Timeline):
    coding: Coding
    display: bytes  # the matrix, width and height of `tkhd`: how the picture is turned and scaled
    language: str  # three letters; "" for undetermined


@dataclass(frozen=True, slots=True)
class Movie:
    video: Track
    audio: list[Track]


def read_movie(read: Read, size: int) -> Movie:
    """Raises Unsuitable with the reason why the file cannot be played as it is."""
    found = _read_traks(read, size)
    return Movie(_picture(found).read(), [trak.read() for trak in found if trak.kind == b"soun"])


def read_picture_times(read: Read, size: int) -> Timeline:
    """The timeline of the picture, however it is coded."""
    return _picture(_read_traks(read, size)).read_timeline()


def _read_traks(read: Read, size: int) -> "list[_Trak]":
    moov = _find_moov(read, size)
    scale = moov.inside(b"mvhd")
    timescale = scale.integer(20 if scale.version else 12, 4)
    return [_Trak(trak, timescale, size) for trak in boxes_in(moov.content) if trak.type == b"trak"]


def _picture(found: "list[_Trak]") -> "_Trak":
    pictures = [trak for trak in found if trak.kind == b"vide"]
    video = [trak for trak in pictures if not trak.is_still] or pictures[:1]
    if len(video) != 1:
        raise Unsuitable("it has no picture" if not video else "it has more than one picture track")
    return video[0]


def _find_moov(read: Read, size: int) -> Box:
    at, moov = 0, None
    for _ in range(_MOST_BOXES):
        if at >= size:
            break
        head = read(at, 16)
        if not at and head[4:8] not in _FIRST_BOXES:
            raise CopyHelps("it is no MP4 or MOV")
        found = parse_header(head, at, size)
        if found.type == b"moof":
            raise CopyHelps("it is fragmented already")
        if found.type == b"moov":
            moov = _read_moov(read, found)
        at = found.end
    if moov is None:
        raise Unsuitable("it has no index")
    return moov


def _read_moov(read: Read, found: TopBox) -> Box:
    if found.end - found.start > LARGEST_INDEX:
        raise Unsuitable("its index is too large")
    moov = Box(b"moov", memoryview(read(found.start, found.end - found.start)))
    if b"cmov" in moov.children:
        raise CopyHelps("its index is compressed")
    return moov


class _Trak:
    """A `trak` box: what kind of track it is, and, if that is wanted, all of it."""

    def __init__(self, trak: Box, movie_scale: int, size_of_file: int) -> None:
        self._trak, self._movie_scale, self._size = trak, movie_scale, size_of_file
        self.kind = bytes(trak.inside(b"mdia", b"hdlr").content[8:12])

    @property
    def is_still(self) -> bool:
        """Whether it is one picture, such as cover art."""
        return self._stbl.inside(b"stsz").integer(8, 4) <= 1

    @property
    def _stbl(self) -> Box:
        return self._trak.inside(b"mdia", b"minf", b"stbl")

    def read(self) -> Track:
        mdhd, tkhd = self._trak.inside(b"mdia", b"mdhd"), self._trak.inside(b"tkhd")
        coding = read_coding(self._stbl.inside(b"stsd"), is_video=self.kind == b"vide")
        times, display = self.read_timeline(), bytes(tkhd.content[-_DISPLAY:])
        return Track(times.samples, times.timescale, times.shift, coding, display, read_language(mdhd))

    def read_timeline(self) -> Timeline:
        mdhd = self._trak.inside(b"mdia", b"mdhd")
        timescale = mdhd.integer(20 if mdhd.version else 12, 4)
        if not timescale or not self._movie_scale:
            raise Unsuitable(DAMAGED)
        samples = read_samples(self._stbl, self._size)
        return Timeline(samples, timescale, self._shift(timescale, samples))

    def _shift(self, timescale: int, samples: Samples) -> int:
        """What the edit list adds to all times: a wait before the first sample, less the media that it skips."""
        wait, media_time = 0, 0
        for number, (length, start) in enumerate(self._edits()):
            if start == _EMPTY and number == 0:
                wait = length * timescale // self._movie_scale
                continue
            if media_time or number > 1 or (number == 1 and not wait):
                raise Unsuitable("its edit list has several parts")
            media_time = start
            left = int((samples.pts + samples.duration).max()) - start - length * timescale // self._movie_scale
            if length and Fraction(left, timescale) > _CUT_END:
                raise Unsuitable("its edit list cuts off its end")
        return wait - media_time

    def _edits(self) -> list[tuple[int, int]]:
        """Length, in the movie's units, and the time in the media where it starts; -1 for an empty edit."""
        edts = self._trak.children.get(b"edts")
        elst = edts.children.get(b"elst") if edts is not None else None
        if elst is None:
            return []
        wide = 8 if elst.version else 4
        found = []
        for number in range(min(elst.integer(4, 4), 4)):  # more than two are refused
            at = 8 + number * (2 * wide + 4)
            start = elst.integer(at + wide, wide)
            if elst.integer(at + 2 * wide, 4) != _WHOLE_RATE:
                raise Unsuitable("its edit list changes the speed")
            is_empty = start == (1 << 8 * wide) - 1
            found.append((elst.integer(at, wide), _EMPTY if is_empty else start))
        return found


def read_language(mdhd: Box) -> str:
    """Three letters of five bits each; "" for undetermined."""
    packed = mdhd.integer(32 if mdhd.version else 20, 2)
    text = "".join(chr((packed >> shift & 31) + 0x60) for shift in (10, 5, 0))
    return text if text.isalpha() and text != "und" else ""
