"""The playlists (RFC 8216) of an index. Their addresses are relative: they work below any prefix."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

from .segments import Index, Rendition

MEDIA_TYPE = "application/vnd.apple.mpegurl"
_AUDIO = "audio"


def master(index: Index) -> str:
    """One variant, with the sound as renditions of a group."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_audio_line(number, rendition) for number, rendition in enumerate(index.audio)]
    coding = index.video.track.coding
    codecs = dict.fromkeys([coding.codecs, *(rendition.track.coding.codecs for rendition in index.audio)])
    peak, average = bit_rates(index)
    attributes = [
        f"BANDWIDTH={peak}", f"AVERAGE-BANDWIDTH={average}", f'CODECS="{",".join(codecs)}"',
        f"RESOLUTION={coding.width}x{coding.height}",
    ]  # fmt: skip
    if index.audio:
        attributes.append(f'AUDIO="{_AUDIO}"')
    return _text([*lines, f"#EXT-X-STREAM-INF:{','.join(attributes)}", "video.m3u8"])


def _audio_line(number: int, rendition: Rendition) -> str:
    language = rendition.track.language
    attributes = ["TYPE=AUDIO", f'GROUP-ID="{_AUDIO}"', f'NAME="{number + 1}{f" {language}" if language else ""}"']
    if language:
        attributes.append(f'LANGUAGE="{language}"')
    attributes += [f"DEFAULT={'NO' if number else 'YES'}", "AUTOSELECT=YES", f'URI="audio{number}.m3u8"']
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def media(rendition: Rendition, name: str) -> str:
    """The playlist of one rendition, whose segments are NAME/0.m4s and so on."""
    longest = max(rendition.durations)
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{ceil(longest)}", "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS", f'#EXT-X-MAP:URI="{name}/init.mp4"',
    ]  # fmt: skip
    for number, duration in enumerate(rendition.durations):
        lines += [f"#EXTINF:{float(duration):.6f},", f"{name}/{number}.m4s"]
    return _text([*lines, "#EXT-X-ENDLIST"])


def bit_rates(index: Index) -> tuple[int, int]:
    """The highest of a segment, and the average, in bits per second; of the picture and the largest sound."""
    renditions = [_rates(index.video), *sorted((_rates(audio) for audio in index.audio), reverse=True)[:1]]
    return sum(peak for peak, _ in renditions), sum(average for _, average in renditions)


def _rates(rendition: Rendition) -> tuple[int, int]:
    size = rendition.track.samples.size
    bits = [int(size[first:last].sum()) * 8 for first, last in pairwise(rendition.cuts)]
    lengths = [max(float(duration), 0.001) for duration in rendition.durations]
    rates = [int(amount / length) for amount, length in zip(bits, lengths, strict=True)]
    return max(rates), max(1, int(sum(bits) / sum(lengths)))


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
