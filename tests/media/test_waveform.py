"""The operation waveform, compared byte by byte with sums over the decoded samples in plain Python."""

import json
import math
import struct
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import BadMedia, UnfitMedia
from media_jobs.operations.shared.sound_samples import encoder_delay
from tests.support.operation_runs import Done, Operate

from ..support.media_checks import decoded
from ..support.troubled_clips import ffmpeg

Clips = Callable[[str], Path]
Round = Callable[[float], int]


def float32(value: float) -> float:
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


def truncated(sample: float) -> int:
    return clip(int(float32(sample * 32767)))


def nearest(sample: float) -> int:
    return clip(round(float32(sample * 32767)))


def lower(sample: float) -> int:
    return -32767 if sample <= -1 else clip(math.floor(sample * 32768))


def clip(value: int) -> int:
    return max(-32768, min(32767, value))


def samples(path: Path, round_to: Round | None = None, *options: str) -> list[int]:
    """Of all channels in turns, as the plain ffmpeg decodes them."""
    format, code = ("f32le", "f") if round_to else ("s16le", "h")
    raw = decoded(path, "-f", format, before=options)
    found = array(code, raw)
    return [round_to(value) for value in found] if round_to else list(found)


def peaks(values: Sequence[int], channels: int, pixel: int, *, split: bool) -> list[int]:
    """As audiowaveform counts: C's division, and what is left makes one more pixel."""
    rows = list(zip(*(values[channel::channels] for channel in range(channels)), strict=True))
    if not split:
        rows = [(int(sum(row) / channels),) for row in rows]
    found = []
    for start in range(0, len(rows), pixel):
        for lane in zip(*rows[start : start + pixel], strict=True):
            found += [min(lane), max(lane)]
    return found


def check(done: Done, values: Sequence[int], rate: int, channels: int, pixel: int, bits: int, *, split: bool) -> None:
    lanes = channels if split else 1
    found = peaks(values, channels, pixel, split=split)
    if bits == 8:
        found = [int(value / 256) for value in found]
    length = len(found) // 2 // lanes
    json_file, data, picture = (output.path for output in done.outputs)
    header = struct.pack("<iIiiIi", 2, int(bits == 8), rate, pixel, length, lanes)
    assert data.read_bytes() == header + array("b" if bits == 8 else "h", found).tobytes()
    told = {
        "version": 2, "channels": lanes, "sample_rate": rate, "samples_per_pixel": pixel, "bits": bits,
        "length": length, "data": found,
    }  # fmt: skip
    assert json_file.read_text() == json.dumps(told, separators=(",", ":")) + "\n"
    assert picture.stat().st_size > 100


@pytest.fixture(scope="session")
def sounds(clips: Clips) -> Path:
    """Short sounds of every kind, beside the clips: two channels of noise, more than full scale for floats."""
    folder = clips("click.wav").parent
    recipes = {
        "noise.wav": "-c:a pcm_s16le",
        "noise24.wav": "-c:a pcm_s24le",
        "noise8.wav": "-c:a pcm_u8",
        "float.wav": "-c:a pcm_f32le",
        "double.wav": "-c:a pcm_f64le",
        "noise.flac": "-c:a flac -sample_fmt s16",
        "noise.ogg": "-c:a libvorbis",
        "noise.mp3": "-c:a libmp3lame",
        "no-tag.mp3": "-c:a libmp3lame -write_xing 0",
        "low-rate.mp3": "-c:a libmp3lame -ar 16000 -ac 1",
        "noise.opus": "-c:a libopus",
        "noise.m4a": "-c:a aac",
        "odd-rate.wav": "-ar 12345 -c:a pcm_s16le",
        "five.wav": "-af aformat=channel_layouts=5.0 -c:a pcm_s16le",
        "nine.wav": "-c:a pcm_s16le",
    }
    for name, options in recipes.items():
        lanes = ["1.1*(random(0)-0.5)*sin(3*t)*2", "0.7*sin(440*t)", *(f"sin({n}*t)" for n in range(7))]
        source = f"-f lavfi -i aevalsrc={'|'.join(lanes if name == 'nine.wav' else lanes[:2])}:s=44100:d=0.3"
        if not (folder / name).exists():
            part = folder / f"part-{name}"
            ffmpeg(*source.split(), *options.split(), str(part))
            part.rename(folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "round_to", "rate", "channels", "bits", "split"),
    [
        ("noise.wav", None, 44100, 2, 8, True),
        ("noise24.wav", None, 44100, 2, 16, False),
        ("noise8.wav", None, 44100, 2, 8, False),
        ("float.wav", truncated, 44100, 2, 16, True),
        ("double.wav", truncated, 44100, 2, 8, False),
        ("noise.flac", None, 44100, 2, 8, False),
        ("noise.ogg", nearest, 44100, 2, 16, True),
        ("noise.opus", None, 48000, 2, 16, False),
        ("noise.m4a", None, 44100, 2, 16, False),
        ("odd-rate.wav", None, 12345, 2, 16, False),
        ("five.wav", None, 44100, 5, 8, True),
        ("nine.wav", None, 44100, 9, 16, False),
    ],
)
def test_it_equals_the_decoded_samples(
    operate: Operate,
    sounds: Path,
    name: str,
    round_to: Round | None,
    rate: int,
    channels: int,
    bits: int,
    split: bool,
) -> None:
    done = operate("waveform", name, kind="audio", samples_per_pixel=64, bits=bits, split_channels=split)
    check(done, samples(sounds / name, round_to), rate, channels, 64, bits, split=split)


@pytest.mark.parametrize(
    ("name", "delay", "channels"), [("noise.mp3", 1105, 2), ("no-tag.mp3", 0, 2), ("low-rate.mp3", 1105, 1)]
)
def test_the_delay_of_an_mp3_is_left_out_and_its_padding_is_not(
    operate: Operate, sounds: Path, name: str, delay: int, channels: int
) -> None:
    assert encoder_delay(sounds / name) == delay
    values = samples(sounds / name, lower, "-flags2", "+skip_manual")[delay * channels :]
    done = operate("waveform", name, kind="audio", samples_per_pixel=100)
    check(done, values, 16000 if channels == 1 else 44100, channels, 100, 16, split=False)


@pytest.mark.parametrize(
    ("params", "pixel"),
    [
        ({}, 256),
        ({"pixels_per_second": 100}, 441),
        ({"samples_per_pixel": 2}, 2),
        ({"samples_per_pixel": 10**6}, 10**6),
    ],
)
def test_a_pixel_has_the_samples_that_were_asked_for(
    operate: Operate, sounds: Path, params: dict[str, Any], pixel: int
) -> None:
    done = operate("waveform", "noise.wav", kind="audio", **params)
    check(done, samples(sounds / "noise.wav"), 44100, 2, pixel, 16, split=False)


def test_more_pixels_than_half_the_samples_are_refused(operate: Operate, sounds: Path) -> None:
    with pytest.raises(UnfitMedia, match="pixels_per_second may be 22050 at most"):
        operate("waveform", "noise.wav", kind="audio", pixels_per_second=22051)


def amplitudes(done: Done) -> list[int]:
    """The highest value of each pixel."""
    found: list[int] = json.loads(done.outputs[0].path.read_text())["data"]
    return found[1::2]


@pytest.mark.parametrize("name", ["late-sound.mkv", "late-sound.mp4", "late-sound.ts"])
def test_sound_that_begins_late_stands_at_its_time(name: str, operate: Operate) -> None:
    found = amplitudes(operate("waveform", name, pixels_per_second=10))
    assert max(found[:9]) == 0
    assert min(found[12:90]) > 1000
    assert abs(len(found) - 100) <= 1


def test_a_gap_in_the_sound_is_silent(operate: Operate) -> None:
    found = amplitudes(operate("waveform", "pause.mka", kind="audio", pixels_per_second=1))
    assert abs(len(found) - 604) <= 1
    assert max(found[3:601]) < 100 < min(found[0], found[-2])


def test_of_a_file_that_is_cut_off_the_rest_is_shown(operate: Operate) -> None:
    done = operate("waveform", "cut.mp4", pixels_per_second=10)
    assert 5 <= len(amplitudes(done)) <= 15
    assert "The waveform ends at 0:0" in done.message
    assert "cut off" in done.message


@pytest.mark.parametrize(("name", "error"), [("only-picture.mp4", UnfitMedia), ("ruined.mp4", BadMedia)])
def test_a_file_without_readable_sound_fails(operate: Operate, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        operate("waveform", name)


def test_the_picture_shows_loud_and_quiet_parts(operate: Operate, clips: Clips) -> None:
    picture = operate("waveform", "speech.flac", kind="audio").outputs[2].path
    alpha = decoded(picture, "-vf", "format=rgba,alphaextract,format=gray", "-f", "rawvideo")
    assert len(alpha) == 1800 * 200
    heights = [
        sum(alpha[row * 1800 + column] > 0 for row in range(200)) for column in (112 + 225 * n for n in range(8))
    ]
    assert all(one < other for one, other in pairwise(heights))
