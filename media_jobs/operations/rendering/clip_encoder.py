"""Encodes one clip of a render: exactly its frames as the result has them, and its sound, as long as these.

Clips have the same codec, size and rate, so that their pictures are joined byte by byte (joined_picture.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import VideoStream
from ...ffmpeg.probing.verification import Expected
from ..base import Input, Output, Work
from ..shared.audio_filters import sound_filters
from ..shared.codecs import VIDEO
from ..shared.split_encode import FRAGMENTS
from ..shared.time_range import output_limit, seek
from ..shared.video_filters import AS_BT709, deinterlace_filters, even_size, scale_filter, tone_map_filters
from .burnt_text import TEXT_FILTER, check_drawn, write_text
from .joined_sound import AU_SOUND, SAMPLE_RATE, check_sound
from .plan import PlannedClip, RenderPlan

PICTURE, SOUND = "picture.mp4", "sound.au"
_LEAST_TIMESCALE = 10_000  # ticks a second
# One sample more than the frames last: the joined sound takes as many of each clip as rounding wants.
_SPARE = 1
_NEAR_END = 1.0  # seconds
_ALPHA = ("rgba", "bgra", "argb", "abgr", "yuva", "gbrap", "ya8", "ya16", "pal8")
_BLACK_BEHIND = ["format=gbrap", "premultiply=inplace=1", "format=gbrp"]
_COLOURS = "setfield=prog,setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """All that determines an encoded clip, besides its file. JSON."""

    start: float
    frames: int
    is_still: bool
    fade_in: float
    fade_out: float
    width: int
    height: int
    fit: str
    rate: tuple[int, int]  # numerator and denominator
    codec: str
    crf: int
    text: str = ""  # an ass script of what is shown meanwhile, with times of the whole result
    at: int = 0  # if there is text: the frames before this clip

    @classmethod
    def of(cls, plan: RenderPlan, planned: PlannedClip, text: str) -> "ClipRecipe":
        clip, frame = planned.clip, plan.frame
        return cls(
            start=clip.start, frames=planned.frames, is_still=planned.is_still, fade_in=clip.fade_in,
            fade_out=clip.fade_out, width=frame.width, height=frame.height, fit=plan.params.fit,
            rate=(frame.rate.numerator, frame.rate.denominator), codec=plan.params.codec, crf=plan.crf, text=text,
            at=planned.at if text else 0,
        )  # fmt: skip

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "ClipRecipe":
        return cls(**{**found, "rate": tuple(found["rate"])})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def frame_rate(self) -> Fraction:
        return Fraction(*self.rate)

    @property
    def length(self) -> float:
        return float(self.frames / self.frame_rate)

    @property
    def samples(self) -> int:
        return ceil(self.frames * SAMPLE_RATE / self.frame_rate) + _SPARE


def ticks(rate: Fraction) -> tuple[int, int]:
    """The time scale of a clip's picture, and how many of its units a frame lasts: whole numbers."""
    factor = ceil(_LEAST_TIMESCALE / rate.numerator)
    return rate.numerator * factor, rate.denominator * factor


def encode_clip(work: Work[Any], source: Input, recipe: ClipRecipe) -> list[Output]:
    picture, sound = work.folder / PICTURE, work.folder / SOUND
    if recipe.text:
        write_text(recipe.text, work.folder)
    encoder = _ClipEncoder(source, recipe)
    timescale, _ = ticks(recipe.frame_rate)
    codec = VIDEO[recipe.codec].encoder(work.threads)
    picture_options = (
        *("-map", "[picture]", "-fps_mode", "passthrough", *codec, "-crf", str(recipe.crf)),
        *("-video_track_timescale", str(timescale), *FRAGMENTS),
    )
    log = work.tools.ffmpeg(
        Command(
            [encoder.source],
            [Target(picture, picture_options), Target(sound, ("-map", "[sound]", *AU_SOUND))],
            filters=";".join([encoder.picture, encoder.sound]),
            threads=work.threads,
            max_duration=output_limit(recipe.length),
        ),
        frames=recipe.frames,
    )
    check_drawn(log)
    check_sound(sound, recipe.samples)  # of plain samples the size tells all: it needs no probe
    return [_picture_output(picture, recipe), Output(SOUND, sound, "audio", "audio/basic", expected=None)]


def _picture_output(path: Path, recipe: ClipRecipe) -> Output:
    expected = Expected(
        video=1, width=recipe.width, height=recipe.height, frames=recipe.frames, most_frames=recipe.frames
    )
    return Output(PICTURE, path, "video", "video/mp4", expected)


class _ClipEncoder:
    def __init__(self, file: Input, recipe: ClipRecipe) -> None:
        stream = file.facts.picture
        assert stream is not None
        self.file, self.recipe, self.stream = file, recipe, stream
        self.seek = seek(file.facts.format, recipe.start)

    @property
    def source(self) -> Source:
        """Without accurate seeking, which would drop the frame that is shown at the start, if it began before it."""
        options = () if self.recipe.is_still else ("-noaccurate_seek", *self.seek.source)
        return Source(self.file.path, self.file.facts.format, options, self.stream.pixels)

    @property
    def picture(self) -> str:
        recipe = self.recipe
        lead = [f"setpts=PTS-{self.seek.lead:.6f}/TB"] if self.seek.lead else []
        shown = list(_shown(self.stream, recipe))
        moving = [*lead, *deinterlace_filters(self.stream), *self._steady(), *shown]
        timed = [*shown, *self._steady()] if recipe.is_still else moving
        held = ["tpad=stop_mode=clone:stop=-1", f"trim=end_frame={recipe.frames}"]
        return ",".join([f"[0:{self.stream.index}]{timed[0]}", *timed[1:], *held, *self._fades(), *self._text()]) + (
            f",{_COLOURS}[picture]"
        )

    def _steady(self) -> list[str]:
        """A steady rate from the start of the clip on. fps holds each frame until the next one.

        At the end of the picture there may be no next one: then it begins with the file, and the last frame is held.
        """
        recipe = self.recipe
        fps = f"fps={recipe.rate[0]}/{recipe.rate[1]}:eof_action=pass"
        if recipe.is_still or (self.stream.end is not None and recipe.start < self.stream.end - _NEAR_END):
            return [f"{fps}:start_time=0"]
        held = "tpad=stop_mode=clone:stop=-1"
        return [f"{fps}:start_time={-recipe.start:.6f}", held, "trim=start=0", "setpts=PTS-STARTPTS"]

    def _fades(self) -> Iterator[str]:
        seconds = self.recipe.fade_in, self.recipe.fade_out
        fade_in, fade_out = (round(Fraction(each) * self.recipe.frame_rate) for each in seconds)
        if fade_in:
            yield f"fade=t=in:start_frame=0:nb_frames={fade_in}"
        if fade_out:
            yield f"fade=t=out:start_frame={self.recipe.frames - fade_out}:nb_frames={fade_out}"

    def _text(self) -> Iterator[str]:
        if self.recipe.text:  # its times are those of the whole result
            yield f"setpts=PTS+{self.recipe.at}"
            yield TEXT_FILTER
            yield f"setpts=PTS-{self.recipe.at}"

    @property
    def sound(self) -> str:
        recipe = self.recipe
        end = f"atrim=end_sample={recipe.samples}"
        if not self.file.facts.audio or recipe.is_still:
            return f"anullsrc=r={SAMPLE_RATE}:cl=stereo,{end}[sound]"
        filters = [
            *([f"asetpts=PTS-{self.seek.lead:.6f}/TB"] if self.seek.lead else []),
            *("atrim=start=0", *sound_filters("stereo"), f"aresample={SAMPLE_RATE}", "apad", end, "asetpts=N/SR/TB"),
            *self._sound_fades(),
        ]
        return f"[0:{self.file.facts.audio[0].index}]{','.join(filters)}[sound]"

    def _sound_fades(self) -> Iterator[str]:
        recipe = self.recipe
        if recipe.fade_in:
            yield f"afade=t=in:d={recipe.fade_in:.6f}"
        if recipe.fade_out:
            yield f"afade=t=out:st={max(0.0, recipe.length - recipe.fade_out):.6f}:d={recipe.fade_out:.6f}"


def _shown(stream: VideoStream, recipe: ClipRecipe) -> Iterator[str]:
    """The picture in the frame: with bars, or cut."""
    ratios = recipe.width / stream.width, recipe.height / stream.height
    scale = min(ratios) if recipe.fit == "pad" else max(ratios)
    wide, high = max(1, round(stream.width * scale)), max(1, round(stream.height * scale))
    if recipe.fit == "pad":
        size = even_size((min(wide, recipe.width), min(high, recipe.height)))
        place = f"pad={recipe.width}:{recipe.height}:-1:-1"
    else:
        size = max(recipe.width, even_size((wide, 2))[0]), max(recipe.height, even_size((2, high))[1])
        place = f"crop={recipe.width}:{recipe.height}"
    if stream.pixel_format.startswith(_ALPHA):
        yield from _BLACK_BEHIND
    yield scale_filter(stream, size, matrix=AS_BT709)
    yield from tone_map_filters(stream)
    yield "format=yuv420p"
    yield place
    yield "setsar=1"
