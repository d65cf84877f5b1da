"""The source rendition for HLS: the file as it is, a copy in fragments, or nothing and the reason why.

It decides where segments begin, in all renditions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.demuxers import WITHOUT_TIMESTAMPS
from ...ffmpeg.probing.media_facts import AudioStream, VideoStream
from ...ffmpeg.probing.verification import Expected
from ...hls.errors import CopyHelps, Unsuitable
from ...hls.file_reading import reading
from ...hls.fragments import MEDIA_TYPE
from ...hls.movie import read_movie
from ...hls.packaged import pack_copy, pack_sound
from ...hls.sample_tables import Integers
from ...hls.segments import TARGET, Index, check_picture_begins, cut, spaced
from ..base import Output, Work
from .picture_packets import BACKWARDS, is_damaged, read_picture_packets
from .split_encode import FRAGMENTS
from .time_range import duration_of, output_limit

PICTURE = "video.mp4"
# Sound begins with a moment of priming. The edit list that cuts it off is written after the first packets.
SOUND_FRAGMENTS = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+skip_trailer", "-frag_duration", f"{TARGET}000000")
_PLAYABLE_PIXELS = {"yuv420p", "yuvj420p"}  # browsers decode no other H.264


def sound_name(number: int) -> str:
    return f"audio{number}.mp4"


@dataclass(frozen=True, slots=True)
class Segments:
    """Where segments begin, in seconds, where the last one ends, and how many frames each has."""

    begins: Sequence[float]
    end: float
    frames: Sequence[int]
    is_exact: bool = True  # each packet is a frame that can be decoded

    @classmethod
    def of(cls, begins: Sequence[Fraction], frames: Integers, *, is_exact: bool = True) -> "Segments":
        rounded = [round(float(begin), 6) for begin in begins]
        return cls(rounded[:-1], rounded[-1], frames.tolist(), is_exact)

    @property
    def longest(self) -> float:
        return max(end - begin for begin, end in zip(self.begins, [*self.begins[1:], self.end], strict=True))


@dataclass(frozen=True, slots=True)
class Prepared:
    segments: Segments | None  # None: its time stamps do not tell
    shift: float = 0.0  # seconds that are subtracted from the time stamps of the file
    copies: list[Output] = field(default_factory=list)
    sounds: list[AudioStream] = field(default_factory=list)  # those to encode
    picture_reason: str = ""  # why the picture must be encoded; empty if it need not
    sound_reason: str = ""

    @property
    def message(self) -> str:
        if self.picture_reason:
            return f"Encoded, because {self.picture_reason}."
        if self.sound_reason:
            return f"The sound is encoded, because {self.sound_reason}."
        return "The picture and the sound are copied." if self.copies else "The file plays as it is."


def prepare(work: Work[Any], picture: VideoStream) -> Prepared:
    """Copy what can be copied, into the folder of the work."""
    try:
        if work.main.facts.format == "mov":
            try:
                return _as_it_is(work.main.path)
            except CopyHelps:
                pass
        check_picture(picture)
        return Copy(work, picture).make()
    except Unsuitable as reason:
        return _encoded(work, picture, str(reason))


def plays_as_it_is(work: Work[Any]) -> bool:
    """Raises Unsuitable if it must be encoded."""
    try:
        return work.main.facts.format == "mov" and bool(_as_it_is(work.main.path))
    except CopyHelps:
        return False


def _as_it_is(path: Path) -> Prepared:
    with reading(path) as (read, size):
        return Prepared(_segments_of(cut(read_movie(read, size))))


def _segments_of(index: Index) -> Segments:
    video = index.video
    begins = [Fraction(int(video.track.presented[sample]), video.track.timescale) for sample in video.cuts[:-1]]
    return Segments.of([*begins, begins[-1] + video.durations[-1]], np.diff(video.cuts))


def check_picture(picture: VideoStream) -> None:
    if picture.codec != "h264":
        raise Unsuitable(f"its picture is {picture.codec}, not H.264")
    if picture.pixel_format not in _PLAYABLE_PIXELS:
        raise Unsuitable("browsers do not play the colour format of its picture")


def file_begin(work: Work[Any]) -> float:
    """The time stamp at which the file begins. Those of an MP4 count from its beginning already."""
    facts = work.main.facts
    return 0.0 if facts.format == "mov" else work.tools.probe(work.main.path).begin


def shifted(shift: float) -> tuple[str, ...]:
    """Options of the source: its own time stamps, but from 0 on."""
    return ("-copyts", *(("-itsoffset", f"{-shift:.6f}") if shift else ()))


def head_limit(head: float | None) -> tuple[str, ...]:
    """Options of a target that has only the first seconds."""
    return () if head is None else ("-t", f"{head:g}")


class Copy:
    """The picture, and sound that is AAC, copied into fragments: all of it, or the first seconds."""

    def __init__(self, work: Work[Any], picture: VideoStream, head: float | None = None) -> None:
        self._work, self._picture, self._head, self._shift = work, picture, head, file_begin(work)
        self._paths = {
            number: work.folder / sound_name(number)
            for number, sound in enumerate(work.main.facts.audio)
            if sound.codec == "aac"
        }

    def make(self) -> Prepared:
        path = self._work.folder / PICTURE
        try:
            self._run(path)
        except (BadMedia, ToolFailed) as failure:
            raise Unsuitable("it cannot be copied") from failure
        table, fragments = pack_copy(path, is_head=self._head is not None)
        begins, to_encode, reason = [], [], ""
        least = None if self._head else int(fragments.samples.sum())
        copies = [Output(PICTURE, path, "video", MEDIA_TYPE, Expected(video=1, frames=least))]
        for number, sound in enumerate(self._work.main.facts.audio):
            try:
                begins.append(self._pack_sound(number, sound))
                name = sound_name(number)
                copies.append(Output(name, self._paths[number], "audio", MEDIA_TYPE, Expected(audio=1)))
            except Unsuitable as why:
                to_encode.append(sound)
                reason = reason or str(why)
        check_picture_begins(table.times[0], begins)
        bounds = np.searchsorted(fragments.offset, table.offsets[:-1])
        frames = np.add.reduceat(fragments.samples, bounds)
        return Prepared(Segments.of(table.times, frames), self._shift, copies, to_encode, "", reason)

    def _pack_sound(self, number: int, sound: AudioStream) -> Fraction:
        if number not in self._paths:
            raise Unsuitable(f"it is {sound.codec}, not AAC")
        return pack_sound(self._paths[number], is_head=self._head is not None).times[0]

    def _run(self, path: Path) -> None:
        facts = self._work.main.facts
        limit = head_limit(self._head)
        # TS has a header before each packet of AAC, and an MP4 must not.
        targets = [
            Target(path, ("-map", f"0:{self._picture.index}", "-c", "copy", *limit, *FRAGMENTS)),
            *(
                Target(each, ("-map", f"0:{facts.audio[number].index}", "-c", "copy", "-bsf:a", "aac_adtstoasc",
                              *limit, *SOUND_FRAGMENTS))
                for number, each in self._paths.items()
            ),
        ]  # fmt: skip
        length = duration_of(facts, self._picture, *facts.audio)
        command = Command(
            [Source(self._work.main.path, facts.format, shifted(self._shift))],
            targets,
            threads=self._work.threads,
            max_duration=output_limit(length),
        )
        log = self._work.tools.ffmpeg(command, seconds=length or facts.duration, verb="Copied")
        if BACKWARDS in log:
            raise Unsuitable("its time stamps go backwards")
        if is_damaged(log):
            raise Unsuitable("its picture is damaged")


def _encoded(work: Work[Any], picture: VideoStream, reason: str) -> Prepared:
    for path in work.folder.glob("*.mp4"):
        path.unlink()  # a copy that turned out to be unfit
    shift = file_begin(work)
    segments = None if work.main.facts.format in WITHOUT_TIMESTAMPS else _segments_by_time(work, picture, shift)
    return Prepared(segments, shift, [], list(work.main.facts.audio), reason, reason)


def _segments_by_time(work: Work[Any], picture: VideoStream, shift: float) -> Segments | None:
    """Cut every few seconds, at any frame: it becomes a key frame. None if the time stamps do not ascend."""
    if (read := read_picture_packets(work, picture)) is None:
        return None
    times = read.presented * float(read.unit) - shift
    ordered = np.sort(times[times >= 0])
    if not len(ordered) or ordered[-1] > output_limit(duration_of(work.main.facts, picture)):
        return None
    chosen = spaced(ordered, TARGET)
    # The first picture is shown from the beginning, also where the sound begins before it.
    begins = [Fraction(0), *(Fraction(float(ordered[at])) for at in chosen[1:])]
    typical = Fraction(float(np.median(np.diff(ordered)))) if len(ordered) > 1 else Fraction(1, 25)
    end = Fraction(float(ordered[-1])) + typical
    return Segments.of([*begins, end], np.diff([*chosen, len(ordered)]), is_exact=False)
