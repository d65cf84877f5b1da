"""What tests ask of files that operations made, beyond what verification already says."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av

from .troubled_clips import FFMPEG, ffmpeg


def times(path: Path) -> list[float]:
    """When each frame of the picture is shown."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0) if frame.time is not None]


def frame_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def colours(path: Path, width: int, height: int) -> list[tuple[int, int, int]]:
    """The average colours of so many fields of the first frame, row by row."""
    fields = f"format=rgb24,scale={width}:{height}:flags=area"
    command = [FFMPEG, "-v", "error", "-i", str(path), "-vf", fields, "-frames:v", "1", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return [(raw[at], raw[at + 1], raw[at + 2]) for at in range(0, len(raw), 3)]


def black(path: Path) -> list[tuple[float, float]]:
    """When its picture is black, from and to."""
    return _spans("black", ffmpeg("-i", str(path), "-vf", "blackdetect=d=0.5", "-f", "null", "-", level="info"))


def _spans(what: str, said: str) -> list[tuple[float, float]]:
    begins, ends = (re.findall(rf"{what}_{word}: ?([\d.]+)", said) for word in ("start", "end"))
    return [(float(begin), float(end)) for begin, end in zip(begins, ends, strict=True)]


def is_near(one: tuple[int, int, int], other: tuple[int, int, int], distance: int = 40) -> bool:
    return all(abs(a - b) <= distance for a, b in zip(one, other, strict=True))


def pixel_format(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.pix_fmt)


def loudness(path: Path) -> float:
    """In LUFS, by a meter that is not the one that set it."""
    said = ffmpeg("-i", str(path), "-af", "ebur128", "-f", "null", "-", level="info")
    return float(re.findall(r"I:\s+(-?[\d.]+|-inf) LUFS", said)[-1])


def pauses(path: Path) -> list[tuple[float, float]]:
    """When there is nothing to be heard for more than a second, from and to."""
    said = ffmpeg("-i", str(path), "-af", "silencedetect=duration=1", "-f", "null", "-", level="info")
    return _spans("silence", said)


def boxes(path: Path) -> list[bytes]:
    """The names of an MP4's outer boxes, in their order."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append(content[at + 4 : at + 8])
        at += size
    return found


def decoded(path: Path, *options: str, before: Sequence[str] = ()) -> bytes:
    """What the plain ffmpeg writes to a pipe: `options` must name a format without a container."""
    command = [FFMPEG, "-v", "error", *before, "-i", str(path), *options, "-"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def channel_peaks(path: Path) -> list[float]:
    """The peak of each channel, in dB."""
    said = ffmpeg("-i", str(path), "-af", "astats=measure_overall=none:measure_perchannel=Peak_level", "-f", "null",
                  "-", level="info")  # fmt: skip
    return [float(level) for level in re.findall(r"Peak level dB: (-?[\d.]+|-inf)", said)]


def subtitle_lines(path: Path, number: int) -> list[tuple[float, float, str]]:
    """What is said from when to when, in seconds, by one of the subtitles of a file."""
    text = decoded(path, "-map", f"0:s:{number}", "-f", "srt").decode()
    found = re.findall(r"00:00:([\d,]+) --> 00:00:([\d,]+)\n(.*)\n", text)
    return [(float(begin.replace(",", ".")), float(end.replace(",", ".")), words) for begin, end, words in found]


def sound_duration(path: Path) -> float:
    """When the first sound ends, in seconds, as decoded: it may begin later than 0."""
    steady = ("-af", "aresample=async=1:first_pts=0")
    raw = decoded(path, "-map", "0:a:0", *steady, "-ac", "1", "-ar", "48000", "-f", "s16le")
    return len(raw) / 2 / 48000


def similarity(path: Path, source: Path) -> float:
    """The SSIM of a picture or video to its source, scaled to its size. Frames are compared in their order."""
    said = _compare(path, source, "ssim=shortest=1")
    return float(re.findall(r"All:([\d.]+)", said)[-1])


def similarity_of_picture(path: Path, source: Path) -> float:
    """The SSIM of a picture to the frame of its source that is most like it."""
    said = _compare(path, source, "ssim=shortest=1,metadata=mode=print:key=lavfi.ssim.All", "-loop", "1")
    return max(map(float, re.findall(r"lavfi\.ssim\.All=([\d.]+)", said)))


def _compare(path: Path, source: Path, filters: str, *options: str) -> str:
    with av.open(str(path)) as container:
        size = container.streams.video[0].width, container.streams.video[0].height
    # A JPEG has the full range of values, and a video seldom.
    scaled = f"scale={size[0]}:{size[1]}:flags=bicubic:out_range=tv,format=yuv420p,settb=1/25,setpts=N"
    graph = f"[0:v]{scaled}[made];[1:v]{scaled}[source];[made][source]{filters}"
    files = (*options, "-i", str(path), "-i", str(source))
    return ffmpeg(*files, "-lavfi", graph, "-f", "null", "-", level="info")
