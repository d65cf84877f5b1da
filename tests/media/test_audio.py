"""The operation audio: each format, channels, bitrates and loudness."""

from typing import Any

import pytest

from media_jobs.errors import BadMedia, Failure, UnfitMedia
from tests.support.operation_runs import Operate
from uploads.content.sniffing import HEAD_SIZE, sniff

from ..support.media_checks import loudness, pauses

FORMATS = {
    "mp3": ("audio.mp3", "mp3"),
    "aac": ("audio.m4a", "aac"),
    "opus": ("audio.opus", "opus"),
    "flac": ("audio.flac", "flac"),
    "wav": ("audio.wav", "pcm_s16le"),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("clip", ["film.mp4", "surround.mkv"])
def test_each_format_is_what_it_is_called(operate: Operate, format: str, clip: str) -> None:
    done = operate("audio", clip, format=format)
    name, codec = FORMATS[format]
    assert (done.output.name, done.output.kind) == (name, "audio")
    assert [stream.codec for stream in done.made.audio] == [codec]
    assert done.made.video == []
    media = sniff(done.output.path.read_bytes()[:HEAD_SIZE])
    assert media is not None
    assert (media.kind, media.name) == (done.output.kind, done.output.media_type)


@pytest.mark.parametrize(("format", "channels"), [("mp3", 2), ("aac", 6), ("opus", 6), ("flac", 6), ("wav", 6)])
def test_surround_is_kept_where_the_format_can(operate: Operate, format: str, channels: int) -> None:
    assert operate("audio", "surround.mkv", format=format).made.audio[0].channels == channels


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("clip", ["surround.mkv", "film.mp4"])
def test_channels_are_mixed_as_asked_for(operate: Operate, clip: str, channels: int) -> None:
    assert operate("audio", clip, channels=channels).made.audio[0].channels == channels


def test_24_bit_sound_keeps_its_bits_in_wav(operate: Operate) -> None:
    assert operate("audio", "studio.mov", format="wav").made.audio[0].codec == "pcm_s24le"


@pytest.mark.parametrize(("bitrate", "codec"), [(64, "mp3"), (320, "mp3"), (512, "opus"), (16, "opus"), (512, "aac")])
def test_each_bitrate_is_accepted_by_its_codec(operate: Operate, bitrate: int, codec: str) -> None:
    operate("audio", "film.mp4", format=codec, bitrate=bitrate)


def test_a_higher_rate_is_larger(operate: Operate) -> None:
    small, large = (operate("audio", "speech.flac", bitrate=rate).output.path.stat().st_size for rate in (64, 256))
    assert large > 3 * small


@pytest.mark.parametrize("clip", ["film.mp4", "film.mkv", "film.ts", "speech.flac"])
def test_a_part_is_as_long_as_asked_for(operate: Operate, clip: str) -> None:
    done = operate("audio", clip, start=0.5, end=1.25, format="wav")
    assert done.made.duration == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("target", [None, -23, -16])
@pytest.mark.parametrize("format", ["wav", "mp3", "opus"])
def test_normalize_reaches_the_target_loudness(operate: Operate, format: str, target: float | None) -> None:
    asked: dict[str, Any] = {} if target is None else {"loudness": target}
    done = operate("audio", "speech.flac", kind="audio", format=format, normalize=True, **asked)
    assert loudness(done.output.path) == pytest.approx(-23 if target is None else target, abs=1)


def test_loudness_is_measured_after_mixing_channels(operate: Operate) -> None:
    done = operate("audio", "surround.mkv", format="wav", channels=1, normalize=True)
    assert loudness(done.output.path) == pytest.approx(-23, abs=1)


def test_without_normalize_the_loudness_is_unchanged(operate: Operate, clips: Any) -> None:
    done = operate("audio", "speech.flac", kind="audio", format="wav")
    assert loudness(done.output.path) == pytest.approx(loudness(clips("speech.flac")), abs=0.2)


def test_normalizing_keeps_the_sample_rate(operate: Operate) -> None:
    done = operate("audio", "speech.flac", kind="audio", format="wav", normalize=True, loudness=-9)
    assert done.made.audio[0].sample_rate == 48000


@pytest.mark.parametrize("clip", ["silence.wav", "click.wav"])
def test_sound_that_cannot_be_measured_keeps_its_loudness_and_the_message_says_so(
    operate: Operate, clip: str
) -> None:
    done = operate("audio", clip, kind="audio", format="flac", normalize=True)
    assert done.message.startswith("The loudness was not changed:")


def test_peaks_are_not_clipped_and_the_message_says_so(operate: Operate) -> None:
    assert operate("audio", "peaks.wav", kind="audio", format="wav", normalize=True).message == ""
    done = operate("audio", "peaks.wav", kind="audio", format="wav", normalize=True, loudness=-9)
    assert done.message == "The result may be quieter than -9 LUFS, so that its peaks are not distorted."


def test_progress_rises_over_both_passes(operate: Operate) -> None:
    done = operate("audio", "speech.flac", kind="audio", normalize=True)
    progress = [report.progress for report in done.reports if report.progress is not None]
    assert progress == sorted(progress)
    assert {report.message.split()[0] for report in done.reports} == {"Measured", "Encoded"}


def test_a_file_that_does_not_say_how_long_it_is_may_be_longer_than_it_seemed(operate: Operate) -> None:
    made = operate("audio", "no-length.mp3", kind="audio", format="wav", normalize=True).made
    assert made.duration == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("clip", ["many-tracks.mkv", "rotated.mp4", "scratched.mp4"])
def test_the_first_sound_is_taken_whatever_else_there_is(operate: Operate, clip: str) -> None:
    assert operate("audio", clip).made.duration == pytest.approx(2.0, abs=0.2)


def test_four_hours_of_sound_stay_four_hours(operate: Operate) -> None:
    whole = operate("audio", "four-hours.flac", kind="audio", format="wav")
    assert whole.made.duration == pytest.approx(14_400, abs=1)


def test_a_long_pause_is_kept_and_needs_little_memory(operate: Operate) -> None:
    done = operate("audio", "pause.mka", kind="audio", format="flac", resident=120 << 20)
    [(begin, end)] = pauses(done.output.path)
    assert begin == pytest.approx(2, abs=0.1)
    assert end == pytest.approx(602, abs=0.1)


def test_the_last_minute_of_four_hours_is_found_at_once(operate: Operate) -> None:
    done = operate("audio", "four-hours.flac", kind="audio", format="opus", start="3:59:00")
    assert done.made.duration == pytest.approx(60, abs=1)


@pytest.mark.parametrize(
    ("clip", "failure", "words"),
    [
        ("only-picture.mp4", UnfitMedia, "This file has no sound."),
        ("cut.mp4", BadMedia, "cut off"),
        ("cut.mkv", BadMedia, "cut off"),
        ("cut-before-its-index.mp4", BadMedia, ""),
        ("no-media.mp4", BadMedia, ""),
    ],
)
@pytest.mark.parametrize("normalize", [False, True])
def test_a_file_without_intact_sound_fails_with_a_reason(
    operate: Operate, clip: str, failure: type[Failure], words: str, normalize: bool
) -> None:
    with pytest.raises(failure) as told:
        operate("audio", clip, normalize=normalize)
    assert words in told.value.detail
