"""The operation `audio`: extracts the sound of a recording into a file, with a given loudness."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from ..errors import UnfitMedia
from ..ffmpeg.command import Command, Source, Target
from ..ffmpeg.probing.media_facts import AudioStream, Facts
from ..ffmpeg.probing.verification import Expected
from .base import HEAVY, Operation, Outcome, Output, Params, Work
from .shared.audio_filters import Loudness, measure_loudness, parse_loudness, sound_filters
from .shared.channels import Channels, channel_count, check_channels
from .shared.codecs import AUDIO, AUDIO_FILES, audio_encoder, is_deep
from .shared.cover_art import extract_cover
from .shared.metadata import KeptMetadata, Metadata
from .shared.parameters import MAX_SOUND_DURATION, Bitrate, End, ParameterError, Start
from .shared.time_range import TimeRange, duration_of, likely_duration, output_limit


class AudioParams(Params):
    format: Literal["mp3", "aac", "opus", "flac", "wav"] = Field(
        "mp3",
        title="Format",
        description="mp3 plays everywhere. aac and opus make smaller files. flac and wav are lossless.",
    )
    bitrate: Bitrate | None = Field(
        None,
        title="Bitrate",
        description="In kbit/s, for mp3, aac and opus. If left out: a usual value for the format.",
    )
    normalize: bool = Field(
        False, title="Normalize", description="Adjust the loudness to the value below, measured by EBU R128."
    )
    loudness: float = Field(
        -23.0,
        ge=-36,
        le=-9,
        title="Loudness",
        description="The target in LUFS, if normalize is on: -23 is the standard for broadcasting (EBU R128), -16 is "
        "usual for podcasts and the web. Peaks stay below -1 dBTP, so sound with high peaks may stay quieter.",
    )
    channels: Channels = None
    start: Start = 0.0
    end: End = None
    metadata: Metadata = "keep"

    @property
    def time_range(self) -> TimeRange:
        return TimeRange(self.start, self.end)

    @model_validator(mode="after")
    def _check_combinations(self) -> "AudioParams":
        codec = AUDIO[self.format]
        if self.bitrate is not None and codec.bitrate is None:
            raise ParameterError("bitrate", f"cannot be set for {self.format}, which is lossless")
        if self.channels == "5.1" and codec.max_channels < 6:
            raise ParameterError(
                "channels", f"cannot be 5.1 for {self.format}, which has {codec.max_channels} at most"
            )
        if self.bitrate is not None and self.bitrate > codec.max_bitrate:
            raise ParameterError("bitrate", f"must be between 16 and {codec.max_bitrate} for {self.format}")
        return self


class Audio(Operation[AudioParams]):
    name = "audio"
    version = 4
    title = "Extract audio"
    summary = "Extracts the sound of a video, or converts an audio file, and can adjust its loudness."
    lane = HEAVY
    kinds = frozenset({"video", "audio"})
    parameters = AudioParams

    def check(self, params: AudioParams, kind: str, facts: Facts | None) -> None:
        if facts is not None:
            check_channels(params.channels, _sound(facts))
            params.time_range.check(likely_duration(facts, _sound(facts)), MAX_SOUND_DURATION)

    def run(self, work: Work[AudioParams]) -> Outcome:
        self.check(work.params, work.main.kind, work.main.facts)
        encoding = _Encoding(work, _sound(work.main.facts))
        return encoding.encode(encoding.measure() if work.params.normalize else None)


class _Encoding:
    """The passes over one audio stream: `measure` the loudness if it is wanted, then `encode`."""

    def __init__(self, work: Work[AudioParams], sound: AudioStream) -> None:
        self.work, self.params, self.sound = work, work.params, sound
        self.codec = AUDIO[self.params.format]
        self.length = self.params.time_range.duration(duration_of(work.main.facts, sound))
        self.seconds = self.length or self.params.time_range.duration(work.main.facts.duration)
        self.seek = self.params.time_range.seek(work.main.facts.format)
        self.metadata = KeptMetadata(
            work.main.facts, self.params.metadata == "keep", self.params.time_range, self.params.format
        )
        self.filters = sound_filters(self.codec.layouts, self.params.channels)

    def measure(self) -> Loudness:
        filters = [*self.filters, measure_loudness(self.params.loudness)]
        return parse_loudness(self._ffmpeg(Target(None, self._mapping(filters)), (0.0, 0.4), "Measured"))

    def encode(self, loudness: Loudness | None) -> Outcome:
        filters, share, message = self.filters, (0.0, 1.0), ""
        if loudness is not None:
            share, message = (0.4, 1.0), loudness.message(self.params.loudness)
            if not loudness.is_unknown:
                # Where the peaks leave no room for one gain, loudnorm puts out 192 kHz.
                filters = [*filters, loudness.normalize(self.params.loudness), f"aresample={self.sound.sample_rate}"]
        file = AUDIO_FILES[self.params.format]
        path = self.work.folder / file.name
        channels = channel_count(self.params.channels, self.sound)
        encoder = audio_encoder(self.codec, channels, self.params.bitrate, is_deep=is_deep(self.sound))
        # Formats of sound alone have one title, which is that of the file.
        labels = self.metadata.options({"a:0": self.sound.model_copy(update={"title": ""})})
        cover = extract_cover(self.work, self.metadata.cover_apart)
        tags = [cover.tag_source()] if cover else []
        labels += ("-map_metadata", "1") if cover else ()
        options = (*self._mapping(filters), *encoder, *labels, *file.muxer)
        self._ffmpeg(Target(path, options), share, "Encoded", tags)
        expected = Expected(duration=self.length, audio=1, video=1 if self.metadata.cover or cover else 0)
        output = Output(file.name, path, "audio", file.media_type, expected)
        return Outcome([output], message=message)

    def _mapping(self, filters: list[str]) -> tuple[str, ...]:
        return (*self.seek.target, "-map", f"0:{self.sound.index}", "-af", ",".join(filters))

    def _ffmpeg(self, target: Target, share: tuple[float, float], verb: str, others: Sequence[Source] = ()) -> str:
        main = self.work.main
        source = Source(main.path, main.facts.format, self.seek.source)
        command = Command(
            [source, *others],
            [target],
            threads=self.work.threads,
            max_duration=output_limit(self.length),
            verbose=target.path is None,  # loudnorm's report is in the output
        )
        return self.work.tools.ffmpeg(command, seconds=self.seconds, share=share, verb=verb)


def _sound(facts: Facts) -> AudioStream:
    if not facts.audio:
        raise UnfitMedia("This file has no sound.")
    return facts.audio[0]
