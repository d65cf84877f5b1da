"""The operation `waveform`: the peaks of a file's sound as data for players, and a picture of them."""

from typing import Literal

from pydantic import Field, model_validator

from ..errors import BadMedia, ToolFailed, UnfitMedia
from ..ffmpeg.probing.media_facts import AudioStream, Facts
from ..ffmpeg.probing.verification import Expected
from ..ffmpeg.progress import clock_time
from .base import BULK, Operation, Outcome, Output, Params, Work
from .shared.parameters import MAX_SOUND_DURATION, ParameterError
from .shared.peaks import Peaks, Samples
from .shared.sound_samples import sample_reader
from .shared.time_range import TimeRange, likely_duration
from .shared.waveform_files import PICTURE_SIZE, WaveformFile, write_json, write_picture

DEFAULT_SAMPLES_PER_PIXEL = 256
MAX_PEAKS = 50_000_000  # in one waveform: 100 or 200 MB as binary data
_TOO_FINE = "Choose more samples per pixel, or fewer pixels per second."


class WaveformParams(Params):
    samples_per_pixel: int | None = Field(
        None,
        ge=2,
        le=10_000_000,
        title="Samples per pixel",
        description=f"How many samples each pair of minimum and maximum stands for. If left out: "
        f"{DEFAULT_SAMPLES_PER_PIXEL}, or what pixels per second needs.",
    )
    pixels_per_second: int | None = Field(
        None,
        ge=1,
        le=100_000,
        title="Pixels per second",
        description="Instead of samples per pixel: how many pairs each second has. The sample rate is divided by it "
        "and rounded down.",
    )
    bits: Literal[8, 16] = Field(
        16, title="Bits", description="Of each value. 8 makes the smallest files, 16 is the most precise."
    )
    split_channels: bool = Field(
        False, title="Split channels", description="A waveform for each channel, instead of one for their mix."
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "WaveformParams":
        if self.samples_per_pixel is not None and self.pixels_per_second is not None:
            raise ParameterError("pixels_per_second", "cannot be combined with samples_per_pixel: choose one of them")
        return self

    def pixel_of(self, sound: AudioStream) -> int:
        """The samples of one pixel."""
        if self.pixels_per_second is not None:
            return sound.sample_rate // self.pixels_per_second
        return self.samples_per_pixel or DEFAULT_SAMPLES_PER_PIXEL

    def channels_of(self, sound: AudioStream) -> int:
        return sound.channels if self.split_channels else 1


class Waveform(Operation[WaveformParams]):
    name = "waveform"
    version = 2
    title = "Waveform"
    summary = (
        "Computes the waveform of the sound as data for players such as peaks.js and wavesurfer.js, and a picture."
    )
    lane = BULK
    kinds = frozenset({"video", "audio"})
    parameters = WaveformParams

    def check(self, params: WaveformParams, kind: str, facts: Facts | None) -> None:
        if facts is None:
            return
        sound = _sound(facts)
        length = likely_duration(facts, sound)
        TimeRange().check(length, MAX_SOUND_DURATION)
        pixel = params.pixel_of(sound)
        if pixel < 2:
            raise UnfitMedia(
                f"pixels_per_second may be {sound.sample_rate // 2} at most: the sound has {sound.sample_rate} "
                "samples a second, and a pixel needs two."
            )
        if length and length * sound.sample_rate / pixel * params.channels_of(sound) > MAX_PEAKS:
            raise UnfitMedia(f"The waveform would have more than {MAX_PEAKS:,} peaks. {_TOO_FINE}")

    def run(self, work: Work[WaveformParams]) -> Outcome:
        self.check(work.params, work.main.kind, work.main.facts)
        path = work.folder / "waveform.dat"
        sound = _sound(work.main.facts)
        with path.open("w+b") as file:
            waveform = WaveformFile(
                file,
                sound.sample_rate,
                work.params.pixel_of(sound),
                work.params.channels_of(sound),
                work.params.bits,
            )
            message = _read(work, sound, waveform)
        json, picture = work.folder / "waveform.json", work.folder / "waveform.png"
        work.tools.report("Writing the waveform", 0.95)
        write_json(waveform, path, json)
        write_picture(waveform, path, picture)
        width, height = PICTURE_SIZE
        return Outcome(
            [
                Output(json.name, json, "", "application/json", None),
                Output(path.name, path, "", "application/octet-stream", None),
                Output(
                    picture.name,
                    picture,
                    "image",
                    "image/png",
                    Expected(video=1, width=width, height=height, frames=1),
                ),
            ],
            message=message,
        )


def _sound(facts: Facts) -> AudioStream:
    if not facts.audio:
        raise UnfitMedia("This file has no sound.")
    sound = facts.audio[0]
    if sound.channels < 1 or sound.sample_rate < 1:
        raise UnfitMedia("The file does not say how many channels or samples a second its sound has: it is damaged.")
    return sound


def _read(work: Work[WaveformParams], sound: AudioStream, waveform: WaveformFile) -> str:
    """Write the peaks of the sound. Of a damaged file, those of what can be decoded; the message says so."""

    def write(peaks: Samples) -> None:
        waveform.write(peaks)
        if waveform.length * waveform.channels > MAX_PEAKS:
            raise UnfitMedia(f"The waveform has more than {MAX_PEAKS:,} peaks. {_TOO_FINE}")

    peaks = Peaks(sound.channels, waveform.samples_per_pixel, work.params.split_channels, write)
    reader = sample_reader(work.main.path, work.main.facts, sound)
    waveform.begin()
    message, log = "", ""
    try:
        log = work.tools.decode(
            reader.command(work.threads),
            reader.into(peaks.feed),
            unit=reader.bytes_per_second,
            seconds=reader.duration,
            share=(0.0, 0.95),
        )
    except (BadMedia, ToolFailed) as failure:
        message, log = failure.detail, failure.log
    peaks.close()
    waveform.end()
    if not waveform.length:
        raise BadMedia("No sound can be read from this file: it is damaged or cut off.", log=log)
    if message:
        end = waveform.length * waveform.samples_per_pixel / sound.sample_rate
        return f"The waveform ends at {clock_time(end)}. {message}"
    return ""
