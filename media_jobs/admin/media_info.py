"""Format media info for people: 4:03, 29.97 fps, 5.1, 48 kHz."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ..ffmpeg.probing.media_facts import AudioStream, Facts, SubtitleStream, VideoStream

_HDR = {"pq": "HDR10 (PQ)", "hlg": "HDR (HLG)"}
_CODECS = {
    "h264": "H.264", "hevc": "H.265 (HEVC)", "av1": "AV1", "vp9": "VP9", "vp8": "VP8", "mpeg2video": "MPEG-2",
    "aac": "AAC", "mp3": "MP3", "opus": "Opus", "vorbis": "Vorbis", "flac": "FLAC", "ac3": "Dolby Digital (AC-3)",
    "eac3": "Dolby Digital Plus (E-AC-3)", "mjpeg": "JPEG", "png": "PNG", "webp": "WebP", "gif": "GIF",
}  # fmt: skip
_LAYOUTS = {1: "mono", 2: "stereo"}


def read_out(facts: Facts, kind: str) -> list[tuple[str, str]]:
    """Names and values, the most important first: picture and sound, then subtitles, bitrate and container."""
    is_still = kind == "image"
    return [
        (name, value)
        for name, value in (
            ("Title", facts.title),
            ("Duration", "" if is_still or facts.duration is None else clock(facts.duration)),
            *_pictures(facts.video, is_still),
            *_numbered("Sound", [_sound(stream) for stream in facts.audio]),
            ("Languages", _languages(facts.audio)),
            ("Subtitles", ", ".join(_subtitle(stream) for stream in facts.subtitles)),
            ("Bitrate", "" if is_still or not facts.bit_rate else rate(facts.bit_rate)),
            ("Format", facts.format),
        )
        if value
    ]


def _pictures(streams: Iterable[VideoStream], is_still: bool) -> Iterator[tuple[str, str]]:
    shown = [stream for stream in streams if not stream.is_picture]
    yield from _numbered("Picture", [_picture(stream, is_still) for stream in shown])
    for stream in shown[:1]:
        yield "Rotation", f"{stream.rotation}° clockwise" if stream.rotation else ""
        yield "Dynamic range", _HDR.get(stream.hdr, stream.hdr)
    covers = [stream for stream in streams if stream.is_picture]
    yield from _numbered("Cover", [f"{stream.width}×{stream.height}, {codec(stream.codec)}" for stream in covers])


def _numbered(name: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Number the values. Equal neighbours become one value with their count."""
    groups = [(value, len(list(same))) for value, same in groupby(values)]
    for number, (value, count) in enumerate(groups, 1):
        yield name if len(groups) == 1 else f"{name} {number}", value if count == 1 else f"{count} × {value}"


def _picture(stream: VideoStream, is_still: bool) -> str:
    moves = [] if is_still or not stream.fps else [frames(stream)]
    deep = [f"{stream.bit_depth} bits"] if stream.bit_depth > 8 else []
    return ", ".join([f"{stream.width}×{stream.height}", *moves, codec(stream.codec), *deep])


def _sound(stream: AudioStream) -> str:
    layout = _LAYOUTS.get(stream.channels, stream.layout or f"{stream.channels} channels")
    return ", ".join([codec(stream.codec), layout, f"{stream.sample_rate / 1000:g} kHz"])


def _languages(streams: Iterable[AudioStream]) -> str:
    return ", ".join(dict.fromkeys(stream.language for stream in streams if _is_known(stream.language)))


def _subtitle(stream: SubtitleStream) -> str:
    return f"{stream.language} ({stream.codec})" if _is_known(stream.language) else stream.codec


def _is_known(language: str) -> bool:
    return language not in {"", "und"}


def codec(name: str) -> str:
    return _CODECS.get(name, name)


def clock(seconds: float) -> str:
    """4:03 or 1:02:03; below ten seconds with tenths: 7.5 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def frames(stream: VideoStream) -> str:
    words = f"{stream.fps:.2f}".rstrip("0").rstrip(".") + " fps"
    return f"{words} on average" if stream.is_variable else words


def rate(bits: int) -> str:
    return f"{bits / 1_000_000:.1f} Mbit/s" if bits >= 1_000_000 else f"{bits / 1000:.0f} kbit/s"
