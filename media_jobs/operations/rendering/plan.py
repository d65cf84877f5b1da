"""What a render will be: the frame and rate that all clips get, and of each clip its frames. Known before any work.

Raises UnfitMedia if a file or a time does not fit. Facts that are not known yet are not checked.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from ...errors import UnfitMedia
from ...ffmpeg.demuxers import STILL_IMAGES
from ...ffmpeg.probing.media_facts import Facts, VideoStream
from ..base import Described, Input
from ..shared.codecs import VIDEO, Container, container_for
from ..shared.parameters import MAX_DURATION
from ..shared.time_range import TimeRange, duration_of, is_duration_estimated
from ..shared.video_filters import even_size, fit_size
from .parameters import MAX_RATE, Clip, RenderParams

USUAL_RATE = Fraction(25)  # where all clips are stills
_LARGEST_STILL = (1920, 1080)  # the frame, where all clips are stills
_LONGEST_STILL = 3600.0
_NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
_NEAR = 0.0005  # by which a rate may differ from the one that is meant, as 29.97 does
AnyFile = Described | Input
KINDS = {"clip": ("video", "image"), "soundtrack": ("video", "audio"), "subtitles": ("subtitle",)}


class Frame(NamedTuple):
    """What all clips become."""

    width: int
    height: int
    rate: Fraction  # frames a second


class PlannedClip(NamedTuple):
    clip: Clip
    at: int  # the number of its first frame in the result
    frames: int
    is_still: bool


class RenderPlan:
    """Of files whose facts are all known."""

    def __init__(self, params: RenderParams, files: Sequence[AnyFile]) -> None:
        check_files(params, files)
        self.params = params
        self.frame = _frame(params, files)
        self.clips = list(_planned(params, files, self.frame.rate))

    @property
    def frames(self) -> int:
        return sum(clip.frames for clip in self.clips)

    @property
    def length(self) -> float:
        return float(self.frames / self.frame.rate)

    @property
    def crf(self) -> int:
        return VIDEO[self.params.codec].crf_of(self.params.quality)

    @property
    def sound_codec(self) -> str | None:
        if self.params.audio == "none":
            return None
        return VIDEO[self.params.codec].sound_of(self.params.audio)

    @property
    def container(self) -> Container:
        return container_for(VIDEO[self.params.codec], [self.sound_codec] if self.sound_codec else [])


def check_files(params: RenderParams, files: Sequence[AnyFile]) -> None:
    """Raise UnfitMedia if a file is of the wrong kind, or a clip is not inside its file."""
    for number, clip in enumerate(params.clips, 1):
        file = _file(clip.file, files, "clip", f"Clip {number}")
        try:
            _check_clip(clip, file)
        except UnfitMedia as wrong:
            raise UnfitMedia(f"Clip {number} ({file.name}): {wrong.detail}") from None
    if params.soundtrack is not None:
        _check_soundtrack(params, _file(params.soundtrack, files, "soundtrack", "The soundtrack"))
    if params.subtitles is not None:
        _file(params.subtitles, files, "subtitles", "subtitles")


def _file(reference: object, files: Sequence[AnyFile], use: str, name: str) -> AnyFile:
    if not isinstance(reference, int) or reference >= len(files):
        raise UnfitMedia(f"{name}: there is no file {reference}. The job has {len(files)}, counted from 0.")
    file, kinds = files[reference], KINDS[use]
    if file.kind not in kinds:
        raise UnfitMedia(f"{name}: {file.name} is {file.kind or 'not media'}, not {' or '.join(kinds)}.")
    return file


def _check_clip(clip: Clip, file: AnyFile) -> None:
    if file.kind == "image":
        _check_still(clip)
    if file.facts is None:
        return
    picture = _picture(file.facts)
    if file.kind == "image":
        return
    whole = _duration(file.facts, picture)
    TimeRange(clip.start, _end(clip)).check(whole)
    if whole is None and clip.length is None:
        raise UnfitMedia("the file does not tell how long it is. Give an end.")


def _check_still(clip: Clip) -> None:
    if clip.duration is None or clip.start:
        raise UnfitMedia("an image needs a duration, and has neither start nor end.")
    if clip.duration > _LONGEST_STILL:
        raise UnfitMedia(f"an image is shown for {_LONGEST_STILL:g} s at most.")


def _check_soundtrack(params: RenderParams, file: AnyFile) -> None:
    if file.facts is None:
        return
    if not file.facts.audio:
        raise UnfitMedia(f"The soundtrack {file.name} has no sound.")
    if file.facts.duration is not None and params.soundtrack_start >= file.facts.duration:
        raise UnfitMedia(f"The soundtrack begins at {params.soundtrack_start:g} s, where {file.name} has ended.")


def _picture(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia("this file has no picture.")
    return facts.picture


def _duration(facts: Facts, picture: VideoStream) -> float | None:
    """Of the file: where its picture ends before, the last frame is held."""
    return None if is_duration_estimated(facts) else facts.duration or duration_of(facts, picture)


def _end(clip: Clip) -> float | None:
    return None if clip.length is None else clip.start + clip.length


def _planned(params: RenderParams, files: Sequence[AnyFile], rate: Fraction) -> Iterator[PlannedClip]:
    at = 0
    for number, clip in enumerate(params.clips, 1):
        file = files[_number(clip)]
        facts = _known(file)
        length = clip.length
        if length is None:
            length = (_duration(facts, _picture(facts)) or 0.0) - clip.start
        frames = round(Fraction(length).limit_denominator(1_000_000) * rate)
        if frames < 1:
            raise UnfitMedia(f"Clip {number} ({file.name}): it is shorter than half a frame.")
        if at + frames > MAX_DURATION * rate:
            raise UnfitMedia(f"The result may last {MAX_DURATION / 3600:g} hours at most.")
        yield PlannedClip(clip, at, frames, file.kind == "image" and facts.format in STILL_IMAGES)
        at += frames


def _number(clip: Clip) -> int:
    assert isinstance(clip.file, int)
    return clip.file


def _known(file: AnyFile) -> Facts:
    assert file.facts is not None
    return file.facts


def _frame(params: RenderParams, files: Sequence[AnyFile]) -> Frame:
    """As wanted, else like the first video; like the first still, if there is no video."""
    used = [files[_number(clip)] for clip in params.clips]
    videos = [file for file in used if file.kind == "video"]
    like = _picture(_known((videos or used)[0]))
    width, height = like.width, like.height
    if not videos:
        width, height = fit_size(like, width=_LARGEST_STILL[0], height=_LARGEST_STILL[1])
    size = _size(params, width, height)
    if min(size) < VIDEO[params.codec].smallest:
        raise UnfitMedia(f"{params.codec} needs {VIDEO[params.codec].smallest} pixels on each side.")
    return Frame(*size, _rate(params.fps or (like.fps if videos else None)))


def _size(params: RenderParams, width: int, height: int) -> tuple[int, int]:
    """One side that is given keeps the shape."""
    if params.width and params.height:
        return even_size((params.width, params.height))
    if params.width:
        return even_size((params.width, round(params.width * height / width)))
    if params.height:
        return even_size((round(params.height * width / height), params.height))
    return even_size((width, height))


def _rate(wanted: float | None) -> Fraction:
    """A rate that a container can count exactly."""
    if wanted is None or not 1 <= wanted <= MAX_RATE:
        return USUAL_RATE
    for usual in (*map(Fraction, range(1, int(MAX_RATE) + 1)), *_NTSC):
        if abs(float(usual) - wanted) < _NEAR:
            return usual
    return Fraction(wanted).limit_denominator(100)
