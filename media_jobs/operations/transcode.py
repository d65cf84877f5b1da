"""The operation `transcode`: one video for any player: upright, even size, square pixels, 8 bits, standard range."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..errors import UnfitMedia
from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import AudioStream, Facts, VideoStream
from ..ffmpeg.probing.verification import Expected
from .base import HEAVY, Outcome, Output, Params, Work
from .divisible import DivisibleOperation, DonePart, Indivisible, Part
from .shared.audio_filters import sound_filters
from .shared.codecs import AUDIO, VIDEO, VideoCodec, audio_encoder, container_for
from .shared.parameters import Bitrate, End, ParameterError, Start
from .shared.split_encode import PIECE_NAME, Piece, join_pieces, split_picture
from .shared.time_range import TimeRange, duration_of, is_duration_estimated, output_limit
from .shared.video_filters import (
    deinterlace_filters,
    drop_frames_filters,
    even_size,
    fit_size,
    scale_filter,
    tone_map_filters,
)

# The share of the expected frames that the output must have. A recorder's count of frames is not always right; the
# frame rate in a file may be that of fields, or of the clock of its timestamps.
COUNTED_SHARE, ESTIMATED_SHARE = 0.9, 0.25
_FEWEST_SLOTS = 2  # that share the work of one job
MAX_FPS = 240.0  # a higher rate in a file is not its frame rate


class TranscodeParams(Params):
    codec: Literal["h264", "hevc", "vp9", "av1"] = Field(
        "h264",
        title="Codec",
        description="h264 plays everywhere. hevc, vp9 and av1 make smaller files, but take longer.",
    )
    height: int | None = Field(
        None,
        ge=16,
        le=4320,
        title="Height",
        description="In pixels. A smaller picture is not enlarged. If left out: the original height.",
    )
    quality: Literal["low", "medium", "high"] | Annotated[int, Field(ge=0, le=63)] = Field(
        "medium",
        title="Quality",
        description="low, medium, high, or a CRF of the codec: lower numbers mean better quality and larger files.",
    )
    fps: float | None = Field(
        None,
        ge=1,
        le=MAX_FPS,
        title="Frames per second",
        description="If left out: as in the original, also if its rate varies.",
    )
    start: Start = 0.0
    end: End = None
    audio: Literal["auto", "aac", "opus", "copy", "none"] = Field(
        "auto",
        title="Sound",
        description="auto: aac for h264 and hevc, opus for vp9 and av1. copy: as in the original. none: no sound.",
    )
    audio_bitrate: Bitrate | None = Field(
        None,
        title="Sound bitrate",
        description="In kbit/s. If left out: a usual value for the codec and the number of channels.",
    )

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start, self.end)

    @model_validator(mode="after")
    def _check_combinations(self) -> "TranscodeParams":
        worst = VIDEO[self.codec].worst
        if isinstance(self.quality, int) and self.quality > worst:
            raise ParameterError("quality", f"must be between 0 and {worst} for {self.codec}")
        if self.audio_bitrate is not None and self.audio in {"copy", "none"}:
            raise ParameterError("audio_bitrate", f"cannot be set if audio is {self.audio}")
        return self


class Transcode(DivisibleOperation[TranscodeParams]):
    name = "transcode"
    version = 2
    title = "Transcode"
    summary = "Makes a video that any player can play, with the codec, size and quality of your choice."
    lane = HEAVY
    kinds = frozenset({"video"})
    parameters = TranscodeParams

    def check(self, params: TranscodeParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            Plan(params, facts)

    def run(self, work: Work[TranscodeParams]) -> Outcome:
        plan = Plan(work.params, work.main.facts)
        path = work.folder / f"video.{plan.container.name}"
        seek = work.params.time_range.seek(work.main.facts.format)
        work.tools.ffmpeg(
            Command(
                sources=[Source(work.main.path, work.main.facts.format, seek.source, plan.picture.pixels)],
                targets=[Target(path, (*seek.target, *plan.options(work.threads)))],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length or work.params.time_range.duration(work.main.facts.duration),
            frames=plan.frames,
        )
        return Outcome([Output(path.name, path, "video", plan.container.media_type, plan.expected())])

    def is_worth_splitting(self, facts: Facts, slots: int, least: float) -> bool:
        return slots >= _FEWEST_SLOTS and (facts.duration or 0) >= least

    def split(self, work: Work[TranscodeParams], slots: int) -> Sequence[Part]:
        if work.params.fps or not work.params.time_range.is_whole:
            raise Indivisible("fps, start and end are not divided")
        return split_picture(work.main, slots)

    def run_part(self, work: Work[TranscodeParams], spec: Mapping[str, Any]) -> Outcome:
        plan, piece = Plan(work.params, work.main.facts), Piece(**spec)
        path = work.folder / PIECE_NAME
        options = (*plan.picture_options(work.threads, piece), "-an", *piece.muxer)
        work.tools.ffmpeg(
            Command(
                sources=[Source(work.main.path, work.main.facts.format, piece.seek, plan.picture.pixels)],
                targets=[Target(path, options)],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            frames=piece.frames,
        )
        return Outcome([Output(path.name, path, "video", "video/mp4", piece.expected(plan.size))])

    def join(self, work: Work[TranscodeParams], parts: Sequence[DonePart]) -> Outcome:
        plan = Plan(work.params, work.main.facts)
        joined = join_pieces([part.files[PIECE_NAME] for part in parts], work.folder / "joined.mp4")
        path = work.folder / f"video.{plan.container.name}"
        sources = [Source(joined, "mov"), Source(work.main.path, work.main.facts.format)]
        copied = ("-map", "0:v:0", "-c:v", "copy", *plan.codec.tag)
        options = (*copied, *plan.sound_options(source=1), "-map_chapters", "-1", *plan.container.muxer)
        work.tools.ffmpeg(
            Command(
                sources=sources if plan.sound else sources[:1],
                targets=[Target(path, options)],
                threads=work.threads,
                max_duration=output_limit(plan.length),
            ),
            seconds=plan.length,
            share=(0.97, 1.0),
            verb="Joined",
        )
        frames = sum(Piece(**part.spec).frames for part in parts)
        expected = replace(plan.expected(), frames=frames)
        return Outcome([Output(path.name, path, "video", plan.container.media_type, expected)])


class Plan:
    """What the output will be, decided from the facts before any work. Raises UnfitMedia if it is impossible."""

    def __init__(self, params: TranscodeParams, facts: Facts) -> None:
        self.params = params
        self.codec = VIDEO[params.codec]
        self.picture = _picture(facts)
        self.sound = facts.audio[0] if facts.audio and params.audio != "none" else None
        self.container = container_for(self.codec, self._sound_codec())
        self.size = _size(self.picture, params.height, self.codec)
        self._is_duration_estimated = is_duration_estimated(facts)
        whole = duration_of(facts, *self._streams())
        params.time_range.check(facts.duration if whole is None else whole)
        self.length = params.time_range.duration(whole)
        self.frames = self._expected_frames()

    def _streams(self) -> list[VideoStream | AudioStream]:
        return [self.picture, *([self.sound] if self.sound else [])]

    def _sound_codec(self) -> str | None:
        if self.sound is None:
            return None
        if self.params.audio == "auto":
            return "opus" if self.codec.container == "webm" else "aac"
        return self.sound.codec if self.params.audio == "copy" else self.params.audio

    def options(self, threads: int) -> tuple[str, ...]:
        return (*self.picture_options(threads), *self.sound_options(), "-map_chapters", "-1", *self.container.muxer)

    def picture_options(self, threads: int, piece: Piece | None = None) -> tuple[str, ...]:
        """How the picture is encoded: all of it, or one piece."""
        quality = self.params.quality
        crf = quality if isinstance(quality, int) else self.codec.crf[quality]
        filters = [
            *([piece.trim_filter] if piece else []),
            *deinterlace_filters(self.picture),
            *(drop_frames_filters(self.params.fps) if self.params.fps else []),
            scale_filter(self.picture, self.size),
            *tone_map_filters(self.picture),
            "format=yuv420p",
        ]
        mapping = ("-map", f"0:{self.picture.index}", "-vf", ",".join(filters))
        timestamps = piece.timestamps if piece else self._timestamps()
        return (*mapping, *timestamps, *self.codec.encoder(threads), "-crf", str(crf))

    def _timestamps(self) -> tuple[str, ...]:
        if self.params.fps:
            return ("-fps_mode", "cfr", "-r", f"{self.params.fps:g}")
        # With the default time base the encoder moves the frames of a variable rate to a steady one.
        return ("-fps_mode", "vfr", "-enc_time_base", "1/90000")

    def sound_options(self, source: int = 0) -> tuple[str, ...]:
        """How the sound is encoded, which is in this source of the command."""
        if self.sound is None:
            return ()
        mapping = ("-map", f"{source}:{self.sound.index}")
        name = self._sound_codec()
        if self.params.audio == "copy" or name is None:
            return (*mapping, "-c:a", "copy")
        codec = AUDIO[name]
        encoder = audio_encoder(codec, self.sound.channels, self.params.audio_bitrate)
        return (*mapping, "-af", ",".join(sound_filters(codec.layouts)), *encoder)

    @property
    def _rate(self) -> float | None:
        fps = self.picture.fps
        return self.params.fps or (fps if fps and fps <= MAX_FPS else None)

    @property
    def _has_frame_count(self) -> bool:
        """Whether the file says how many frames it has, and all of them are wanted."""
        return not self.params.fps and self.params.time_range.is_whole and bool(self.picture.frames)

    def _expected_frames(self) -> int | None:
        """How many frames the output will have; None if unknown. Never more than frame rate and duration allow."""
        if self._is_duration_estimated:
            return None
        counted = self.picture.frames if self._has_frame_count else None
        if counted is None and self.picture.is_variable and not self.params.fps:
            return None  # an average rate does not tell how many frames a part has
        end = self.picture.end if self.picture.end is not None or self.sound else self.length
        length = None if end is None else self.params.time_range.duration(end)
        rate = self._rate
        allowed = round(rate * length) if rate and length is not None else None
        return min((count for count in (counted, allowed) if count is not None), default=None)

    def expected(self) -> Expected:
        share = COUNTED_SHARE if self._has_frame_count or self.params.fps else ESTIMATED_SHARE
        return Expected(
            duration=self.length,
            tolerance=0.5 + (2 / self._rate if self._rate else 0),
            video=1,
            audio=1 if self.sound else 0,
            width=self.size[0],
            height=self.size[1],
            frames=max(1, int((self.frames or 0) * share)),
        )


def _picture(facts: Facts) -> VideoStream:
    if facts.picture is None:
        raise UnfitMedia(
            "This file has no video, only sound. Use the operation audio."
            if facts.audio
            else "This file has no video."
        )
    return facts.picture


def _size(picture: VideoStream, height: int | None, codec: VideoCodec) -> tuple[int, int]:
    size = even_size(fit_size(picture, height=height))
    if min(size) < codec.smallest:
        raise UnfitMedia(
            f"The video would have {size[0]}×{size[1]} pixels, and {codec.name} needs {codec.smallest} on each side."
        )
    return size
