"""Read playlists and segments as strictly as RFC 8216 and ISO 14496-12 allow, without any code of ours."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

_TAGS = re.compile(
    r"#EXT-X-(VERSION:7|TARGETDURATION:\d+|MEDIA-SEQUENCE:0|PLAYLIST-TYPE:(VOD|EVENT)|INDEPENDENT-SEGMENTS"
    r'|MAP:URI="[^"]+"|START:TIME-OFFSET=0|ENDLIST)'
)
_NOT_A_KEY = 0x010000
_ATTRIBUTE = re.compile(r'([A-Z-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')
_MEDIA = {"TYPE", "GROUP-ID", "NAME", "LANGUAGE", "DEFAULT", "AUTOSELECT", "CHARACTERISTICS", "URI"}
_VARIANT = {"BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "AUDIO", "SUBTITLES"}


@dataclass(frozen=True)
class MediaPlaylist:
    type: str
    init: str
    lengths: list[float]
    names: list[str]
    is_ended: bool


def read_media_playlist(text: str) -> MediaPlaylist:
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert text.endswith("\n")
    lengths, names, tags = list[float](), list[str](), list[str]()
    for line in lines[1:]:
        if line.startswith("#EXTINF:"):
            assert len(lengths) == len(names), "two lengths for one segment"
            lengths.append(float(line[8:].removesuffix(",")))
        elif line.startswith("#"):
            assert _TAGS.fullmatch(line), line
            assert not names or line == "#EXT-X-ENDLIST"
            tags.append(line)
        else:
            names.append(line)
    assert len(lengths) == len(names) > 0
    assert len(tags) == len(set(tags))
    [target] = [int(tag.partition(":")[2]) for tag in tags if "TARGETDURATION" in tag]
    assert all(length > 0 and round(length) <= target for length in lengths)
    [kind] = [tag.partition(":")[2] for tag in tags if "PLAYLIST-TYPE" in tag]
    # Subtitles have no init segment.
    [init] = [tag.partition('"')[2].rstrip('"') for tag in tags if "MAP" in tag] or [""]
    assert init or {name.rpartition(".")[2] for name in names} == {"vtt"}
    is_ended = lines[-1] == "#EXT-X-ENDLIST"
    assert is_ended == (kind == "VOD")
    return MediaPlaylist(kind, init, lengths, names, is_ended)


@dataclass(frozen=True)
class MasterPlaylist:
    renditions: list[dict[str, str]]
    variants: list[str]

    def of_type(self, kind: str) -> list[dict[str, str]]:
        return [found for found in self.renditions if found["TYPE"] == kind]


def read_master_playlist(text: str) -> MasterPlaylist:
    lines = text.splitlines()
    assert lines[:3] == ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    assert text.endswith("\n")
    media = [_attributes(line, "#EXT-X-MEDIA:", _MEDIA) for line in lines[3:] if line.startswith("#EXT-X-MEDIA:")]
    rest = lines[3 + len(media) :]
    variants = [_attributes(line, "#EXT-X-STREAM-INF:", _VARIANT) for line in rest[::2]]
    assert not any(line.startswith("#") for line in rest[1::2])
    assert len(rest) == 2 * len(variants) > 0
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for found in media:
        groups.setdefault((found["TYPE"], found["GROUP-ID"]), []).append(found)
    for group in groups.values():
        assert len({found["NAME"] for found in group}) == len(group), "two of one name in a group"
        assert sum(found["DEFAULT"] == "YES" for found in group) <= 1
    for variant in variants:
        assert {(kind, variant[kind]) for kind in ("AUDIO", "SUBTITLES") if kind in variant} == groups.keys()
    return MasterPlaylist(media, rest[1::2])


def _attributes(line: str, tag: str, known: set[str]) -> dict[str, str]:
    assert line.startswith(tag), line
    found = _ATTRIBUTE.findall(line[len(tag) :])
    assert ",".join(f"{name}={value}" for name, value in found) == line[len(tag) :], line
    assert len(dict(found)) == len(found)
    assert dict(found).keys() <= known, line
    return {name: value.strip('"') for name, value in found}


@dataclass(frozen=True)
class Sample:
    decoded: Fraction
    begin: Fraction  # seconds, when it is presented
    duration: Fraction
    size: int


def boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", content, at + 8)[0], 16
        assert head <= size <= len(content) - at, f"the box {name!r} does not fit"
        yield name.decode("ascii"), content[at + head : at + size]
        at += size


def _inside(content: bytes, *path: str) -> bytes:
    for name in path:
        content = next(inner for found, inner in boxes(content) if found == name)
    return content


def timescale_of(init: bytes) -> int:
    assert [name for name, _ in boxes(init)] == ["ftyp", "moov"]
    moov = _inside(init, "moov")
    assert "mvex" in [name for name, _ in boxes(moov)]
    assert _inside(moov, "mvex", "trex")
    for table in ("stts", "stsc", "stco"):
        assert _inside(moov, "trak", "mdia", "minf", "stbl", table)[4:8] == bytes(4), "samples in an init segment"
    scale: int = struct.unpack_from(">I", _inside(moov, "trak", "mdia", "mdhd"), 12)[0]
    return scale


def read_segment(segment: bytes, timescale: int, *, numbers: list[int]) -> list[Sample]:
    """The samples of a media segment. Appends the sequence numbers of its fragments, which must ascend."""
    samples: list[Sample] = []
    found = list(boxes(segment))
    assert [name for name, _ in found] == ["moof", "mdat"] * (len(found) // 2)
    for (_, moof), (_, mdat) in zip(found[::2], found[1::2], strict=True):
        assert [name for name, _ in boxes(moof)] == ["mfhd", "traf"]
        [number] = struct.unpack_from(">I", _inside(moof, "mfhd"), 4)
        assert not numbers or number > numbers[-1]
        numbers.append(number)
        made = _read_fragment(_inside(moof, "traf"), len(moof) + 8, mdat, timescale)
        assert not samples or made[0].decoded >= samples[-1].decoded
        samples += made
    return samples


def _read_fragment(traf: bytes, moof_size: int, mdat: bytes, timescale: int) -> list[Sample]:
    tfhd, tfdt, trun = (_inside(traf, name) for name in ("tfhd", "tfdt", "trun"))
    [flags] = struct.unpack_from(">I", tfhd)
    assert flags & 0x020000, "default-base-is-moof"
    assert not flags & 0x1
    at, defaults = 8 + 4 * bool(flags & 0x2), {}
    for flag in (0x8, 0x10, 0x20):
        if flags & flag:
            [defaults[flag]] = struct.unpack_from(">I", tfhd, at)
            at += 4
    assert tfdt[0] == 1
    [now] = struct.unpack_from(">Q", tfdt, 4)
    version, [flags], [count, offset] = trun[0], struct.unpack_from(">I", trun), struct.unpack_from(">II", trun, 4)
    flags &= 0xFFFFFF
    assert flags & 0x1
    assert offset == moof_size + 8, "its samples begin elsewhere"
    at, first_flags = 12, None
    if flags & 0x4:
        [first_flags] = struct.unpack_from(">I", trun, at)
        at += 4
    samples, is_key = [], []
    for number in range(count):
        values = {0x100: defaults.get(0x8), 0x200: defaults.get(0x10), 0x400: defaults.get(0x20), 0x800: 0}
        for flag in values:
            if flags & flag:
                form = ">i" if flag == 0x800 and version else ">I"
                [values[flag]] = struct.unpack_from(form, trun, at)
                at += 4
        duration, size, marks, composition = values.values()
        assert duration is not None
        assert size is not None
        assert composition is not None
        is_key.append(not ((first_flags if number == 0 and first_flags is not None else marks) or 0) & _NOT_A_KEY)
        decoded, begin, lasts = (Fraction(time, timescale) for time in (now, now + composition, duration))
        samples.append(Sample(decoded, begin, lasts, size))
        now += duration
    assert at == len(trun)
    assert sum(sample.size for sample in samples) == len(mdat)
    assert is_key[0], "a segment begins with a key frame"
    return samples


def check_rendition(playlist: MediaPlaylist, init: bytes, segments: list[bytes]) -> list[Sample]:
    """All samples of a rendition, whose segments begin with a key frame and follow each other without a gap."""
    timescale, numbers, before = timescale_of(init), list[int](), list[Sample]()
    begins = list[Fraction]()
    for segment in segments:
        samples = read_segment(segment, timescale, numbers=numbers)
        begin = min(sample.begin for sample in samples)
        assert samples[0].begin == begin, "samples before the key frame need the segment before"
        if before:
            assert samples[0].decoded >= before[-1].decoded
            assert begin > max(sample.begin for sample in before)
        begins.append(begin)
        before += samples
    begins.append(max(sample.begin + sample.duration for sample in before))
    lengths = [float(end - begin) for begin, end in pairwise(begins)]
    # Sound begins with priming, which the edit list of the init segment cuts off.
    for length, told in zip(lengths, playlist.lengths, strict=True):
        assert abs(length - told) < 0.05, "another length than the playlist says"
    return before
