"""The sound of a recording as a file of its own, as loud as asked for."""

import json
import math
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from ..errors import BadMedia, UnfitMedia
from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import AudioStream, Facts
from ..ffmpeg.probing.verification import Expected
from .base import HEAVY, Operation, Outcome, Output, Params, Work
from .shared.codecs import AUDIO, SOUND_FILES, encoded, heard, is_deep
from .shared.parameters import LONGEST, Bitrate, End, Fault, Start
from .shared.time_range import TimeRange, duration_of, output_limit

PEAK = -1.0  # dBTP at most, by EBU R128
LONGEST_SOUND = 4 * LONGEST  # books read aloud go on for days
RANGE = 7.0  # LU, loudnorm's own default; a wider one is left as wide as it is


class AudioParams(Params):
    format: Literal["mp3", "aac", "opus", "flac", "wav"] = Field(
        "mp3",
        title="Format",
        description="mp3 plays everywhere; aac and opus are smaller; flac and wav lose nothing.",
    )
    bitrate: Bitrate | None = Field(
        None, title="Bitrate", description="In kbit/s, for mp3, aac and opus. Left out: what suits the format."
    )
    normalize: bool = Field(
        False, title="Normalize", description="Make it as loud as others, measured by EBU R128: see loudness."
    )
    loudness: float = Field(
        -23.0,
        ge=-36,
        le=-9,
        title="Loudness",
        description="In LUFS, for normalize: -23 is EBU R128's for broadcasting, -16 usual for podcasts and the web. "
        "Peaks stay below -1 dBTP, which can keep sound of sharp peaks quieter.",
    )
    channels: int | None = Field(
        None,
        ge=1,
        le=2,
        title="Channels",
        description="1 is mono, 2 is stereo. Left out: as it is, in mp3 at most 2.",
    )
    start: Start = 0.0
    end: End = None

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start, self.end)

    @model_validator(mode="after")
    def _mean_something_together(self) -> "AudioParams":
        codec = AUDIO[self.format]
        if self.bitrate is not None and codec.bitrate is None:
            raise Fault("bitrate", f"has no meaning for {self.format}, which loses nothing")
        if self.bitrate is not None and self.bitrate > codec.most:
            raise Fault("bitrate", f"must be between 16 and {codec.most} for {self.format}")
        return self


class Audio(Operation[AudioParams]):
    name = "audio"
    version = 2
    title = "Extract audio"
    summary = "Takes the sound out of a video, or converts a recording, and can make it as loud as others."
    lane = HEAVY
    kinds = frozenset({"video", "audio"})
    parameters = AudioParams

    def check(self, params: AudioParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            params.time_range.check(duration_of(facts, _sound(facts)) or facts.duration, LONGEST_SOUND)

    def run(self, work: Work[AudioParams]) -> Outcome:
        self.check(work.params, work.main.kind, work.main.facts)
        run = _Run(work, _sound(work.main.facts))
        return run.encode(run.measure() if work.params.normalize else None)


@dataclass(frozen=True, slots=True)
class Loudness:
    """What loudnorm has measured, in its own units."""

    integrated: float
    peak: float
    range: float
    threshold: float

    @property
    def is_nothing(self) -> bool:
        """Silence, or less than the 0.4 s that R128 measures at a time. It counts nothing below -70."""
        return not math.isfinite(self.integrated) or self.integrated <= -70

    def remark(self, target: float) -> str:
        """What its owner should know, if it does not become as loud as asked for."""
        if self.is_nothing:
            return "There is only silence, or too little to measure: its loudness is left as it is."
        if self.peak + target - self.integrated > PEAK:
            return f"Its peaks leave little room for {target:g} LUFS: it may have stayed quieter."
        return ""

    def filter(self, target: float) -> str:
        """The second pass: one gain for all, as long as the peaks allow it."""
        measured = (
            f"measured_I={min(0.0, self.integrated):.2f}:measured_TP={self.peak:.2f}"
            f":measured_LRA={self.range:.2f}:measured_thresh={min(0.0, self.threshold):.2f}"
        )
        return f"loudnorm=I={target:g}:TP={PEAK}:LRA={min(50.0, max(RANGE, self.range)):.2f}:{measured}:linear=true"


def measured(said: str) -> Loudness:
    """loudnorm's report, among everything else that ffmpeg said."""
    reports = re.findall(r"\{[^{}]*\"input_i\"[^{}]*\}", said)
    if not reports:
        raise BadMedia("No sound could be read from this file: it is damaged or cut off.", log=said[-2000:])
    report = json.loads(reports[-1])
    return Loudness(*(float(report[f"input_{name}"]) for name in ("i", "tp", "lra", "thresh")))


class _Run:
    """The passes over one stream of sound."""

    def __init__(self, work: Work[AudioParams], sound: AudioStream) -> None:
        self.work, self.params, self.sound = work, work.params, sound
        self.codec = AUDIO[self.params.format]
        self.length = self.params.time_range.duration(duration_of(work.main.facts, sound))
        self.seconds = self.length or self.params.time_range.duration(work.main.facts.duration)
        self.seek = self.params.time_range.seek(work.main.facts.format)
        self.filters = heard(self.codec.layouts, self.params.channels)

    def measure(self) -> Loudness:
        meter = f"loudnorm=I={self.params.loudness:g}:TP={PEAK}:print_format=json"
        said = self._ffmpeg(Target(None, self._mapped([*self.filters, meter])), (0.0, 0.4), "Measured")
        return measured(said)

    def encode(self, loudness: Loudness | None) -> Outcome:
        filters, share, message = self.filters, (0.0, 1.0), ""
        if loudness is not None:
            share, message = (0.4, 1.0), loudness.remark(self.params.loudness)
            if not loudness.is_nothing:
                # Where the peaks leave no room for one gain, loudnorm answers with 192 kHz.
                filters = [*filters, loudness.filter(self.params.loudness), f"aresample={self.sound.sample_rate}"]
        file = SOUND_FILES[self.params.format]
        path = self.work.folder / file.name
        channels = self.params.channels or self.sound.channels
        how = encoded(self.codec, channels, self.params.bitrate, is_deep=is_deep(self.sound))
        self._ffmpeg(Target(path, (*self._mapped(filters), *how, *file.muxer)), share, "Encoded")
        output = Output(file.name, path, "audio", file.media_type, Expected(duration=self.length, audio=1))
        return Outcome([output], message=message)

    def _mapped(self, filters: list[str]) -> tuple[str, ...]:
        return (*self.seek.target, "-map", f"0:{self.sound.index}", "-af", ",".join(filters), "-map_chapters", "-1")

    def _ffmpeg(self, target: Target, share: tuple[float, float], doing: str) -> str:
        main = self.work.main
        source = Source(main.path, main.facts.format, self.seek.source)
        command = Command(
            [source],
            [target],
            threads=self.work.threads,
            max_duration=output_limit(self.length),
            verbose=target.path is None,  # what was measured is told there
        )
        return self.work.tools.ffmpeg(command, seconds=self.seconds, share=share, verb=doing)


def _sound(facts: Facts) -> AudioStream:
    if not facts.audio:
        raise UnfitMedia("There is no sound in this file.")
    return facts.audio[0]
