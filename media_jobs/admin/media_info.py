"""Media info for people, in groups: 4:03, 29.97 fps, 5.1, 48 kHz."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..ffmpeg.probing.media_facts import AudioStream, Chapter, Facts, SubtitleStream, VideoStream
from ..ffmpeg.probing.notes import NOTES, notes_of

_CODECS = {
    "h264": "H.264", "hevc": "H.265 (HEVC)", "av1": "AV1", "vp9": "VP9", "vp8": "VP8", "mpeg2video": "MPEG-2",
    "aac": "AAC", "mp3": "MP3", "opus": "Opus", "vorbis": "Vorbis", "flac": "FLAC", "ac3": "Dolby Digital (AC-3)",
    "eac3": "Dolby Digital Plus (E-AC-3)", "mjpeg": "JPEG", "png": "PNG", "webp": "WebP", "gif": "GIF",
}  # fmt: skip
_LAYOUTS = {1: "mono", 2: "stereo"}
_INDEX = {"first": "at the beginning", "last": "at the end", "fragments": "in fragments"}
_SCAN = {"top": "interlaced, top field first", "bottom": "interlaced, bottom field first", "interlaced": "interlaced"}

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Group:
    title: str  # empty for the first one
    rows: Rows
    is_open: bool = True  # long lists are closed until somebody opens them


def media_info(facts: Facts, kind: str) -> list[Group]:
    """The groups that have rows, the most important ones first."""
    is_still = kind == "image"
    shown = [stream for stream in facts.video if not stream.is_picture]
    covers = [f"{stream.width}×{stream.height}, {codec(stream.codec)}" for stream in facts.video if stream.is_picture]
    groups = (
        Group("", _known(_overview(facts, is_still))),
        *(Group(title, _known(_picture(stream, is_still))) for title, stream in _titled("Picture", shown)),
        Group("Sound", _numbered("Track", [_sound(stream) for stream in facts.audio])),
        Group("Subtitles", _numbered("Track", [_subtitle(stream) for stream in facts.subtitles])),
        Group("Cover art", _numbered("Picture", covers)),
        Group(f"Chapters ({facts.chapter_count})", list(_chapters(facts)), is_open=False),
        Group("Tags", _known(facts.tags.items()), is_open=False),
    )
    return [group for group in groups if group.rows]


def media_notes(facts: Facts) -> list[str]:
    """What is odd, in words. Decided anew, because an earlier version may have known fewer notes."""
    return [NOTES[code] for code in notes_of(facts)]


def _known(rows: Iterable[tuple[str, str]]) -> Rows:
    return [(name, value) for name, value in rows if value]


def _titled(name: str, streams: Sequence[VideoStream]) -> Iterator[tuple[str, VideoStream]]:
    for number, stream in enumerate(streams, 1):
        yield name if len(streams) == 1 else f"{name} {number}", stream


def _numbered(name: str, values: Sequence[str]) -> Rows:
    """Number the values. Equal neighbours become one value with their count."""
    groups = [(value, len(list(same))) for value, same in groupby(values)]
    return [
        (name if len(groups) == 1 else f"{name} {number}", value if count == 1 else f"{count} × {value}")
        for number, (value, count) in enumerate(groups, 1)
    ]


def _overview(facts: Facts, is_still: bool) -> Iterator[tuple[str, str]]:
    yield "Title", facts.title
    yield "Duration", "" if is_still or facts.duration is None else clock(facts.duration)
    yield "Bitrate", "" if is_still or not facts.bit_rate else rate(facts.bit_rate)
    yield "Format", facts.format
    yield "Index", _INDEX.get(facts.index, "")
    yield "Timecode", facts.timecode


def _picture(stream: VideoStream, is_still: bool) -> Iterator[tuple[str, str]]:
    yield "Size", f"{stream.width}×{stream.height}"
    yield "Codec", codec(stream.codec, stream.profile)
    if not is_still:
        yield "Frame rate", frames(stream) if stream.fps else ""
        yield "Scan", _SCAN.get(stream.field_order, "")
        yield "Bitrate", rate(stream.bit_rate) if stream.bit_rate else ""
    yield "Aspect", stream.display_aspect
    if stream.sample_aspect not in {"", "1:1"}:
        yield "Pixels", f"{stream.sample_aspect}, coded as {stream.coded_width}×{stream.coded_height}"
    yield "Rotation", f"{stream.rotation}° clockwise" if stream.rotation else ""
    yield "Colour", ", ".join(filter(None, [_depth(stream), stream.pixel_format, stream.color_primaries]))
    yield "Dynamic range", ", ".join(_dynamic_range(stream))
    yield "Light", ", ".join(_light(stream))
    yield "Labels", _labels(stream)


def _depth(stream: VideoStream) -> str:
    return f"{stream.bit_depth} bits" if stream.bit_depth > 8 else ""


def _dynamic_range(stream: VideoStream) -> Iterator[str]:
    if stream.hdr == "pq":
        is_hdr10 = stream.mastering_luminance or stream.max_content_light
        yield "HDR10 (PQ)" if is_hdr10 else "HDR (PQ)"
    elif stream.hdr:
        yield {"hlg": "HDR (HLG)"}.get(stream.hdr, stream.hdr)
    if stream.is_dolby_vision:
        yield "Dolby Vision"


def _light(stream: VideoStream) -> Iterator[str]:
    if stream.mastering_luminance:
        least, most = stream.mastering_luminance
        yield f"mastered at {least:g} to {most:g} cd/m²"
    if stream.max_content_light:
        yield f"MaxCLL {stream.max_content_light}"
    if stream.max_average_light:
        yield f"MaxFALL {stream.max_average_light}"


def _sound(stream: AudioStream) -> str:
    layout = _LAYOUTS.get(stream.channels, stream.layout or f"{stream.channels} channels")
    bits = rate(stream.bit_rate) if stream.bit_rate else ""
    parts = [codec(stream.codec, stream.profile), layout, f"{stream.sample_rate / 1000:g} kHz", bits, _labels(stream)]
    return ", ".join(filter(None, parts))


def _subtitle(stream: SubtitleStream) -> str:
    return ", ".join(filter(None, [codec(stream.codec), _labels(stream)]))


def _labels(stream: VideoStream | AudioStream | SubtitleStream) -> str:
    """Language, title and dispositions: eng, “Commentary”, default, hearing impaired."""
    title = f"“{stream.title}”" if stream.title else ""
    language = "" if stream.language == "und" else stream.language
    return ", ".join(filter(None, [language, title, *(each.replace("_", " ") for each in stream.dispositions)]))


def _chapters(facts: Facts) -> Iterator[tuple[str, str]]:
    for number, chapter in enumerate(facts.chapters, 1):
        yield _position(chapter), chapter.title or f"Chapter {number}"
    if facts.chapter_count > len(facts.chapters):
        yield "…", f"{facts.chapter_count - len(facts.chapters)} more"


def _position(chapter: Chapter) -> str:
    minutes, seconds = divmod(int(chapter.start), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def codec(name: str, profile: str = "") -> str:
    words = _CODECS.get(name, name)
    return f"{words}, {profile}" if profile else words


def clock(seconds: float) -> str:
    """4:03 or 1:02:03; below ten seconds with tenths: 7.5 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def frames(stream: VideoStream) -> str:
    words = f"{stream.fps:.2f}".rstrip("0").rstrip(".") + " fps"
    return f"{words} on average, variable" if stream.is_variable else f"{words}, constant"


def rate(bits: int) -> str:
    return f"{bits / 1_000_000:.1f} Mbit/s" if bits >= 1_000_000 else f"{bits / 1000:.0f} kbit/s"
