"""Time ranges: limits, seeking and durations."""

import pytest

from media_jobs.errors import UnfitMedia
from media_jobs.ffmpeg.probing.media_facts import AudioStream, Facts, SubtitleStream, VideoStream
from media_jobs.operations.shared.time_range import LEAD, TimeRange, duration_of, output_limit, seek


def film(*, picture: float | None = None, sound: float | None = None, text: bool = False, of: str = "mov") -> Facts:
    return Facts(
        format=of,
        duration=60.0,
        video=[VideoStream(index=0, codec="h264", width=2, height=2, coded_width=2, coded_height=2, end=picture)],
        audio=[AudioStream(index=1, codec="aac", channels=2, sample_rate=48000, end=sound)],
        subtitles=[SubtitleStream(index=2, codec="srt")] if text else [],
    )


@pytest.mark.parametrize(
    ("start", "end", "whole", "length"),
    [
        (0, None, 60, 60),
        (10, None, 60, 50),
        (10, 30, 60, 20),
        (10, 60.5, 60, 50),
        (0, None, None, None),
        (10, 30, None, None),
        (59.99, None, 60, pytest.approx(0.01)),
        (0.5, None, 0.04, 0),
    ],
)
def test_a_part_is_as_long_as_the_recording_allows(
    start: float, end: float | None, whole: float | None, length: float | None
) -> None:
    assert TimeRange(start, end).duration(whole) == length


@pytest.mark.parametrize(
    ("start", "end", "length"), [(59, None, 60), (0, 61, 60), (0, 60, 60), (5000, 9000, None), (0.5, None, 0.04)]
)
def test_a_range_inside_the_recording_is_accepted(start: float, end: float | None, length: float | None) -> None:
    TimeRange(start, end).check(length)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (60, None, "start is 60 s, but the file lasts only 60.0 s. Choose an earlier start."),
        (100, 200, "start is 100 s, but the file lasts only 60.0 s. Choose an earlier start."),
        (10, 61.5, "end is 61.5 s, but the file lasts only 60.0 s. Choose an earlier end, or leave it out."),
    ],
)
def test_a_range_after_the_end_is_refused(start: float, end: float | None, words: str) -> None:
    with pytest.raises(UnfitMedia) as told:
        TimeRange(start, end).check(60)
    assert told.value.detail == words


@pytest.mark.parametrize(("start", "lasts"), [(0, "27:46:42"), (13_600, "24:00:02")])
def test_what_would_last_longer_than_a_day_is_refused(start: float, lasts: str) -> None:
    with pytest.raises(UnfitMedia, match=f"would last {lasts}, and may last 24 hours at most. Choose a part"):
        TimeRange(start).check(100_002)
    TimeRange(20_000).check(100_002)
    TimeRange(start, 20_000).check(100_002)


@pytest.mark.parametrize(
    ("format", "source", "target"),
    [
        ("mov", ("-ss", "100.000000", "-t", "20.000000"), ()),
        ("mpegts", ("-ss", "70.000000", "-t", "50.000000"), ("-ss", "30.000000")),
        ("h264", ("-t", "120.000000"), ("-ss", "100.000000")),
    ],
)
def test_reading_begins_earlier_if_seeking_misses_key_frames(
    format: str, source: tuple[str, ...], target: tuple[str, ...]
) -> None:
    way = TimeRange(100, 120).seek(format)
    assert (way.source, way.target) == (source, target)


def test_reading_never_begins_before_the_beginning() -> None:
    assert seek("mpegts", LEAD / 2).source == ()
    assert seek("mpegts", LEAD / 2).target == ("-ss", f"{LEAD / 2:.6f}")
    assert seek("mpegts", 0).target == ()


@pytest.mark.parametrize(
    ("facts", "length"),
    [
        (film(picture=60, sound=40), 40),
        (film(), None),  # the picture that is left out may be the longer one
        (Facts(format="wav", duration=60, audio=film().audio), 60),
        (Facts(format="mp3", duration=60, audio=film().audio), None),  # told from its rate
        (film(text=True), None),
    ],
)
def test_sound_alone_may_be_shorter_than_its_file(facts: Facts, length: float | None) -> None:
    assert duration_of(facts, facts.audio[0]) == length


def test_a_file_of_all_its_streams_is_as_long_as_it_was() -> None:
    facts = film()
    assert duration_of(facts, facts.video[0], facts.audio[0]) == 60


def test_cover_art_makes_nothing_longer() -> None:
    cover = film().video[0].model_copy(update={"is_picture": True})
    facts = Facts(format="flac", duration=60, video=[cover], audio=film().audio)
    assert duration_of(facts, facts.audio[0]) == 60


def test_the_output_limit_is_near_the_duration() -> None:
    assert 60 < output_limit(60) < 180
    assert output_limit(None) == 24 * 3600
