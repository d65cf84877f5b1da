"""The description of a track's coding: read H.264 and AAC from MP4 and MOV, and write it for an init segment."""

from dataclasses import dataclass

from .boxes import Box, box, boxes_in, full_box, u16, u32
from .errors import CopyHelps, Unsuitable

_VISUAL_FIELDS, _SOUND_FIELDS = 78, 28  # bytes of a sample entry before the boxes in it
_QUICKTIME_SOUND_FIELDS = {0: 28, 1: 44, 2: 64}  # by the version of the entry
_NAMES = {
    b"hvc1": "HEVC", b"hev1": "HEVC", b"av01": "AV1", b"vp09": "VP9", b"apch": "ProRes", b"apcn": "ProRes",
    b"mp4v": "MPEG-4 Visual", b"ac-3": "AC-3", b"ec-3": "E-AC-3", b"alac": "ALAC", b"Opus": "Opus", b"fLaC": "FLAC",
    b".mp3": "MP3", b"sowt": "PCM", b"twos": "PCM", b"lpcm": "PCM", b"in24": "PCM", b"encv": "encrypted",
    b"enca": "encrypted",
}  # fmt: skip
_SOUND = "sound"
# Tags and the object type of MPEG-4 sound in a chain of descriptors (ISO 14496-1).
_ES, _DECODER, _SPECIFIC, _AAC = 0x03, 0x04, 0x05, 0x40
_ES_FLAGS = ((0x80, 2), (0x40, None), (0x20, 2))  # bit, and bytes of its field; None: a length and as many bytes


@dataclass(frozen=True, slots=True)
class Coding:
    """How a track is coded: for CODECS in a playlist, and as the sample entry of an init segment."""

    codecs: str
    entry: bytes
    width: int = 0
    height: int = 0


def read_coding(stsd: Box, *, is_video: bool) -> Coding:
    if stsd.integer(4, 4) != 1:
        raise Unsuitable("its format changes in the middle")
    entries = list(boxes_in(stsd.content[8:]))
    if not entries:
        raise Unsuitable("it has no description of its format")
    return _read_h264(entries[0]) if is_video else _read_aac(entries[0])


def _other(entry: Box, what: str, wanted: str) -> Unsuitable:
    name = _NAMES.get(entry.type, entry.type.decode("ascii", "replace").strip())
    reason = CopyHelps if what == _SOUND else Unsuitable
    return reason(f"its {what} is {name}, not {wanted}" if name.isprintable() else f"its {what} is not {wanted}")


def _read_h264(entry: Box) -> Coding:
    if entry.type not in {b"avc1", b"avc3"}:
        raise _other(entry, "picture", "H.264")
    inside = {found.type: found for found in boxes_in(entry.content[_VISUAL_FIELDS:])}
    avcc = inside.get(b"avcC")
    if avcc is None or len(avcc.content) < 7:
        raise Unsuitable("its picture has no description")
    profile, compatible, level = avcc.content[1:4]
    kept = [bytes(entry.content[:_VISUAL_FIELDS]), box(b"avcC", bytes(avcc.content))]
    if b"pasp" in inside:
        kept.append(box(b"pasp", bytes(inside[b"pasp"].content)))
    colour = inside.get(b"colr")
    if colour is not None and bytes(colour.content[:4]) == b"nclx":
        kept.append(box(b"colr", bytes(colour.content)))
    return Coding(
        f"avc1.{profile:02x}{compatible:02x}{level:02x}", box(b"avc1", *kept),
        entry.integer(24, 2), entry.integer(26, 2),
    )  # fmt: skip


def _read_aac(entry: Box) -> Coding:
    if entry.type != b"mp4a":
        raise _other(entry, _SOUND, "AAC")
    esds = _find_esds(entry)
    config = _specific_config(esds)
    channels, rate = entry.integer(16, 2), entry.integer(24, 4)
    fields = bytes(6) + u16(1) + bytes(8) + u16(channels or 2, 16, 0, 0) + u32(rate)
    # QuickTime puts `esds` into a `wave` box, and browsers accept it only directly in the entry.
    return Coding(f"mp4a.40.{_object_type(config)}", box(b"mp4a", fields, box(b"esds", bytes(esds.content))))


def _find_esds(entry: Box) -> Box:
    fields = _QUICKTIME_SOUND_FIELDS.get(entry.integer(8, 2), _SOUND_FIELDS)
    inside = {found.type: found for found in boxes_in(entry.content[fields:])}
    if b"wave" in inside:
        inside |= inside[b"wave"].children
    if b"esds" not in inside:
        raise CopyHelps("its sound has no description")
    return inside[b"esds"]


def _specific_config(esds: Box) -> memoryview:
    """The AudioSpecificConfig in the descriptors of `esds`."""
    stream = _descriptor(esds.content[4:], _ES)
    flags, at = stream[2], 3
    for bit, size in _ES_FLAGS:
        if flags & bit:
            at += size if size is not None else 1 + stream[at]
    decoder = _descriptor(stream[at:], _DECODER)
    if decoder[0] != _AAC:
        raise CopyHelps("its sound is not AAC")
    return _descriptor(decoder[13:], _SPECIFIC)


def _descriptor(content: memoryview, tag: int) -> memoryview:
    """The content of the descriptor at the beginning. Its length has seven bits in each byte."""
    length = at = 0
    if len(content) > 1 and content[0] == tag:
        for at in range(1, min(5, len(content))):
            length = length << 7 | content[at] & 0x7F
            if not content[at] & 0x80:
                break
    found = content[at + 1 : at + 1 + length]
    if not at or len(found) != length or length < 2:
        raise CopyHelps("its sound has no description")
    return found


def _object_type(config: memoryview) -> int:
    """The kind of AAC: 2 for AAC-LC, 5 for HE-AAC. 31 means that six more bits follow."""
    first = config[0] >> 3
    if first != 31:
        return first
    return 32 + ((config[0] & 0x07) << 3 | config[1] >> 5)


def sample_table(coding: Coding) -> bytes:
    """The `stbl` of an init segment: the description alone, and empty tables."""
    empty = u32(0)
    return box(
        b"stbl",
        full_box(b"stsd", 0, 0, u32(1), coding.entry),
        full_box(b"stts", 0, 0, empty), full_box(b"stsc", 0, 0, empty),
        full_box(b"stsz", 0, 0, empty, empty), full_box(b"stco", 0, 0, empty),
    )  # fmt: skip
