"""The playlists (RFC 8216) of renditions. Their addresses are relative: they work below any prefix."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

from .sample_entries import Coding
from .segments import Rendition

MEDIA_TYPE = "application/vnd.apple.mpegurl"
SUBTITLE_TYPE = "text/vtt"
_AUDIO, _SUBTITLES = "audio", "subtitles"
_SPOKEN_WORDS = "public.accessibility.transcribes-spoken-dialog"
_ROUNDED = 0.001  # seconds by which the length of a segment may turn out to be longer than was foreseen


@dataclass(frozen=True, slots=True)
class Listed:
    """What playlists say about a rendition."""

    name: str
    coding: Coding
    language: str
    durations: Sequence[Fraction]  # of its segments, in seconds
    sizes: Sequence[int]  # in bytes
    is_complete: bool = True
    longest: float = 0.0  # seconds; no segment that is not there yet lasts longer

    @classmethod
    def of(cls, name: str, rendition: Rendition) -> "Listed":
        track = rendition.track
        sizes = [int(track.samples.size[first:last].sum()) for first, last in pairwise(rendition.cuts)]
        return cls(name, track.coding, track.language, rendition.durations, sizes)

    @property
    def is_picture(self) -> bool:
        return bool(self.coding.width)

    @property
    def bit_rates(self) -> tuple[int, int]:
        """The highest of a segment, and the average, in bits per second."""
        lengths = [max(float(duration), 0.001) for duration in self.durations]
        rates = [int(size * 8 / length) for size, length in zip(self.sizes, lengths, strict=True)]
        return max(rates), max(1, int(sum(self.sizes) * 8 / sum(lengths)))


@dataclass(frozen=True, slots=True)
class ListedSubtitles:
    name: str
    language: str
    is_transcript: bool = False


def master(pictures: Sequence[Listed], sounds: Sequence[Listed], subtitles: Sequence[ListedSubtitles] = ()) -> str:
    """A variant for each picture, the best first, with the sounds and subtitles as renditions of groups."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_audio_line(number, sound) for number, sound in enumerate(sounds)]
    lines += [_subtitles_line(number, each) for number, each in enumerate(subtitles)]
    for picture in sorted(pictures, key=lambda each: each.coding.height, reverse=True):
        lines += _variant(picture, sounds, has_subtitles=bool(subtitles))
    return _text(lines)


def _variant(picture: Listed, sounds: Sequence[Listed], *, has_subtitles: bool) -> list[str]:
    codecs = dict.fromkeys([picture.coding.codecs, *(sound.coding.codecs for sound in sounds)])
    peak, average = bit_rates(picture, sounds)
    attributes = [
        f"BANDWIDTH={peak}", f"AVERAGE-BANDWIDTH={average}", f'CODECS="{",".join(codecs)}"',
        f"RESOLUTION={picture.coding.width}x{picture.coding.height}",
    ]  # fmt: skip
    if sounds:
        attributes.append(f'AUDIO="{_AUDIO}"')
    if has_subtitles:
        attributes.append(f'SUBTITLES="{_SUBTITLES}"')
    return [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"{picture.name}.m3u8"]


def _audio_line(number: int, sound: Listed) -> str:
    return _media_line("AUDIO", _AUDIO, str(number + 1), sound, is_default=number == 0)


def _subtitles_line(number: int, subtitles: ListedSubtitles) -> str:
    if subtitles.is_transcript:
        return _media_line("SUBTITLES", _SUBTITLES, "Transcript", subtitles, f'CHARACTERISTICS="{_SPOKEN_WORDS}"')
    return _media_line("SUBTITLES", _SUBTITLES, str(number + 1), subtitles)


def _media_line(
    kind: str, group: str, label: str, of: Listed | ListedSubtitles, *more: str, is_default: bool = False
) -> str:
    attributes = [f"TYPE={kind}", f'GROUP-ID="{group}"', f'NAME="{label}{f" {of.language}" if of.language else ""}"']
    if of.language:
        attributes.append(f'LANGUAGE="{of.language}"')
    attributes += [f"DEFAULT={'YES' if is_default else 'NO'}", "AUTOSELECT=YES", *more, f'URI="{of.name}.m3u8"']
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def media(listed: Listed) -> str:
    """The playlist of one rendition, whose segments are NAME/0.m4s and so on.

    One that grows says so, and players read it again; they begin at its beginning.
    """
    longest = ceil(max(float(max(listed.durations)), listed.longest) - _ROUNDED)
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{max(1, longest)}", "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if listed.is_complete else 'EVENT'}", "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{listed.name}/init.mp4"',
    ]  # fmt: skip
    if not listed.is_complete:
        lines.append("#EXT-X-START:TIME-OFFSET=0")
    for number, duration in enumerate(listed.durations):
        lines += [f"#EXTINF:{float(duration):.6f},", f"{listed.name}/{number}.m4s"]
    return _text([*lines, *(["#EXT-X-ENDLIST"] if listed.is_complete else [])])


def subtitles_media(name: str, lengths: Sequence[float]) -> str:
    """The playlist of subtitles, whose segments are NAME/0.vtt and so on."""
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{max(1, ceil(max(lengths)))}",
        "#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:VOD",
    ]  # fmt: skip
    for number, seconds in enumerate(lengths):
        lines += [f"#EXTINF:{seconds:.6f},", f"{name}/{number}.vtt"]
    return _text([*lines, "#EXT-X-ENDLIST"])


def bit_rates(picture: Listed, sounds: Sequence[Listed]) -> tuple[int, int]:
    """Of the picture and the largest sound."""
    rates = [picture.bit_rates, *sorted((sound.bit_rates for sound in sounds), reverse=True)[:1]]
    return sum(peak for peak, _ in rates), sum(average for _, average in rates)


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
