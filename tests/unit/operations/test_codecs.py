"""Codecs: their containers, bitrates and channels."""

import pytest

from media_jobs.ffmpeg.probing.media_facts import AudioStream
from media_jobs.operations.shared.audio_filters import sound_filters
from media_jobs.operations.shared.codecs import AUDIO, VIDEO, audio_encoder, container_for, is_deep


@pytest.mark.parametrize(
    ("video", "audio", "container"),
    [
        ("h264", "aac", "mp4"),
        ("h264", None, "mp4"),
        ("h264", "opus", "mp4"),
        ("h264", "pcm_s16le", "mkv"),
        ("h264", "vorbis", "mkv"),
        ("hevc", "ac3", "mp4"),
        ("vp9", None, "webm"),
        ("vp9", "opus", "webm"),
        ("vp9", "vorbis", "webm"),
        ("vp9", "aac", "mp4"),
        ("vp9", "dts", "mkv"),
        ("av1", "opus", "webm"),
        ("av1", "mp3", "mp4"),
    ],
)
def test_the_container_is_the_usual_one_if_it_can_hold_the_sound(
    video: str, audio: str | None, container: str
) -> None:
    assert container_for(VIDEO[video], [audio] if audio else []).name == container


def test_the_container_holds_all_sounds() -> None:
    assert container_for(VIDEO["vp9"], ["opus", "aac"]).name == "mp4"
    assert container_for(VIDEO["vp9"], ["opus", "dts"]).name == "mkv"


@pytest.mark.parametrize(
    ("codec", "channels", "asked", "rate"),
    [
        ("aac", 2, None, "160k"),
        ("aac", 1, None, "160k"),
        ("aac", 6, None, "480k"),
        ("aac", 8, None, "480k"),
        ("opus", 1, 512, "256k"),
        ("opus", 2, 512, "512k"),
        ("mp3", 6, None, "192k"),
        ("mp3", 1, 320, "320k"),
    ],
)
def test_the_bitrate_is_one_that_the_encoder_accepts(codec: str, channels: int, asked: int | None, rate: str) -> None:
    assert audio_encoder(AUDIO[codec], channels, asked)[-2:] == ("-b:a", rate)


@pytest.mark.parametrize(
    ("codec", "deep"), [("pcm_s24le", True), ("flac", True), ("pcm_s16le", False), ("aac", False), ("mp3", False)]
)
def test_lossless_formats_keep_more_than_16_bits(codec: str, deep: bool) -> None:
    sound = AudioStream(index=0, codec=codec, channels=2, sample_rate=48000)
    assert is_deep(sound) is deep
    assert ("pcm_s24le" in audio_encoder(AUDIO["wav"], 2, is_deep=is_deep(sound))) is deep


def test_channel_layouts_are_those_requested_or_those_of_the_codec() -> None:
    assert sound_filters("mono|stereo", "mono")[-1] == "aformat=channel_layouts=mono"
    assert sound_filters("mono|stereo")[-1] == "aformat=channel_layouts=mono|stereo"
    assert "aformat" not in ",".join(sound_filters(""))


@pytest.mark.parametrize("codec", VIDEO.values(), ids=VIDEO)
def test_better_quality_is_a_lower_number(codec: object) -> None:
    crf = codec.crf  # type: ignore[attr-defined]
    assert crf["high"] < crf["medium"] < crf["low"] <= codec.worst  # type: ignore[attr-defined]
