"""Checks at submit, and the output that transcode expects, from facts alone."""

from typing import Any

import pytest

from media_jobs.errors import UnfitMedia
from media_jobs.ffmpeg.probing.media_facts import AudioStream, Facts, VideoStream
from media_jobs.operations import get, parse
from media_jobs.operations.shared.video_plan import VideoPlan


def video(**known: Any) -> VideoStream:
    usual = {"width": 320, "height": 180, "coded_width": 320, "coded_height": 180, "fps": 30.0}
    return VideoStream.model_validate({"index": 0, "codec": "h264", **usual, **known})


SOUND = AudioStream(index=1, codec="aac", channels=2, sample_rate=48000)
SILENT = Facts(format="mov", duration=10, video=[video(frames=300, end=10.0)])
SOUND_ONLY = Facts(format="mov", duration=10, audio=[SOUND])
NO_CHANNELS = Facts(format="wav", audio=[SOUND.model_copy(update={"channels": 0})])
SLOW_SOUND = Facts(format="wav", duration=100_000, audio=[SOUND.model_copy(update={"sample_rate": 1})])
LONG_SOUND = Facts(format="wav", duration=3600, audio=[SOUND])
WITH_COVER = Facts(format="mp3", duration=10, video=[video(is_picture=True)], audio=[SOUND])
UNKNOWN_LENGTH = Facts(format="h264", video=[video()])
SEVENTEEN = [SOUND.model_copy(update={"index": number}) for number in range(1, 18)]
MANY_SOUNDS = SILENT.model_copy(update={"audio": SEVENTEEN})
TINY = Facts(format="mov", duration=10, video=[video(width=8, height=8)])


@pytest.mark.parametrize(
    ("operation", "raw", "facts", "words"),
    [
        ("transcode", {}, SOUND_ONLY, "This file has no video, only sound. Use the operation audio."),
        ("transcode", {}, WITH_COVER, "This file has no video, only sound."),
        ("transcode", {}, Facts(format="srt"), "This file has no video."),
        ("transcode", {"start": 10}, SILENT, "start is 10 s, but the file lasts only 10.0 s."),
        ("transcode", {"end": 12}, SILENT, "end is 12 s, but the file lasts only 10.0 s."),
        ("transcode", {"codec": "hevc"}, TINY, "The video would have 8×8 pixels, and hevc needs 16 on each side."),
        ("transcode", {"quality": "vmaf:93"}, TINY, "vmaf:93 needs at least 32 pixels on each side."),
        ("transcode", {"tracks": "all"}, MANY_SOUNDS, "17 sounds, and a video of all tracks may have 16 at most."),
        ("thumbnail", {}, SOUND_ONLY, "This file has no picture, only sound."),
        ("thumbnail", {"at": 12}, SILENT, "at is 12 s, but the video lasts only 10.0 s."),
        ("audio", {}, SILENT, "This file has no sound."),
        ("storyboard", {}, WITH_COVER, "This file has no picture, only sound."),
        ("waveform", {}, NO_CHANNELS, "The file does not say how many channels"),
        ("waveform", {}, SILENT, "This file has no sound."),
        ("waveform", {"pixels_per_second": 24001}, SOUND_ONLY, "pixels_per_second may be 24000 at most"),
        ("waveform", {"samples_per_pixel": 2}, LONG_SOUND, "The waveform would have more than 50,000,000 peaks."),
        ("transcribe", {}, SILENT, "This file has no sound."),
        ("transcribe", {}, SLOW_SOUND, "The rate of its sound is 1 Hz. Speech needs 2,000 Hz at least"),
        ("audio", {"start": 11}, SOUND_ONLY, "start is 11 s, but the file lasts only 10.0 s."),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_any_work(
    operation: str, raw: dict[str, Any], facts: Facts, words: str
) -> None:
    found = get(operation)
    with pytest.raises(UnfitMedia) as told:
        found.check(parse(found, raw), "video", facts)
    assert words in told.value.detail


@pytest.mark.parametrize("operation", ["inspect", "transcode", "thumbnail", "audio", "waveform", "storyboard"])
def test_nothing_is_refused_while_the_facts_are_not_known(operation: str) -> None:
    found = get(operation)
    found.check(parse(found, {}), "video", None)


@pytest.mark.parametrize("raw", [{"start": 5000}, {"end": 5000}, {"start": 1, "end": 2}])
def test_nothing_is_refused_while_the_length_is_not_known(raw: dict[str, Any]) -> None:
    found = get("transcode")
    found.check(parse(found, raw), "video", UNKNOWN_LENGTH)


def planned(facts: Facts, **raw: Any) -> VideoPlan:
    return VideoPlan(parse(get("transcode"), raw), facts)


def test_a_few_frames_fewer_than_the_file_has_are_accepted() -> None:
    expected = planned(SILENT).expected()
    assert (expected.duration, expected.video, expected.audio, expected.frames) == (10, 1, 0, 270)
    assert (expected.width, expected.height) == (320, 180)


def test_frames_are_expected_by_fps_and_duration() -> None:
    plan = planned(SILENT, fps=10, start=5)
    assert (plan.frames, plan.expected().frames, plan.length) == (50, 45, 5)


def test_a_frame_count_beyond_rate_and_duration_is_ignored() -> None:
    facts = Facts(format="mov", duration=10, video=[video(frames=9000, end=10.0)])
    assert planned(facts).frames == 300


def test_the_frames_of_a_part_are_unknown_if_the_rate_varies() -> None:
    facts = Facts(format="mov", duration=10, video=[video(frames=300, end=10.0, is_variable=True)])
    assert planned(facts).frames == 300
    assert planned(facts, start=5).frames is None
    assert planned(facts, start=5).expected().frames == 1


def test_without_a_duration_only_streams_and_size_are_expected() -> None:
    plan = planned(UNKNOWN_LENGTH)
    assert (plan.length, plan.frames, plan.expected().frames, plan.expected().duration) == (None, None, 1, None)


def test_an_impossible_frame_rate_is_ignored() -> None:
    facts = Facts(format="dv", duration=10, video=[video(fps=30_000.0)])
    assert (planned(facts).frames, planned(facts).expected().frames) == (None, 1)


def test_the_tolerance_allows_for_two_frames() -> None:
    facts = Facts(format="matroska", duration=14_400, video=[video(fps=1 / 60)])
    assert planned(facts).expected().tolerance > 60
