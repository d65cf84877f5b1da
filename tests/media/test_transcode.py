"""The operation transcode: every kind of file becomes a valid video, or the job fails with a reason."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import BadMedia, Failure, OutputInvalid, UnfitMedia
from tests.support.operation_runs import Operate
from uploads.content.sniffing import HEAD_SIZE, sniff

from ..support.media_checks import black, boxes, colours, is_near, pixel_format, times

Clips = Callable[[str], Path]


@pytest.mark.parametrize(
    ("params", "name", "codec", "sound"),
    [
        ({}, "video.mp4", "h264", "aac"),
        ({"audio": "opus"}, "video.mp4", "h264", "opus"),
        ({"codec": "hevc"}, "video.mp4", "hevc", "aac"),
        ({"codec": "vp9"}, "video.webm", "vp9", "opus"),
        ({"codec": "vp9", "audio": "aac"}, "video.mp4", "vp9", "aac"),
        ({"codec": "vp9", "audio": "copy"}, "video.mp4", "vp9", "aac"),
        ({"codec": "av1"}, "video.webm", "av1", "opus"),
    ],
)
def test_each_codec_comes_in_the_file_that_fits(
    operate: Operate, params: dict[str, Any], name: str, codec: str, sound: str
) -> None:
    done = operate("transcode", "film.mp4", **params)
    assert (done.output.name, done.output.kind) == (name, "video")
    assert [stream.codec for stream in done.made.video] == [codec]
    assert [stream.codec for stream in done.made.audio] == [sound]


def test_sound_that_is_copied_is_not_touched(operate: Operate) -> None:
    done = operate("transcode", "studio.mov", audio="copy")
    assert done.output.media_type == "video/x-matroska"  # MP4 has no place for it
    assert [stream.codec for stream in done.made.audio] == ["pcm_s24le"]


def test_sound_can_be_left_out(operate: Operate) -> None:
    assert operate("transcode", "film.mp4", audio="none").made.audio == []


def test_the_index_of_an_mp4_stands_first(operate: Operate) -> None:
    found = boxes(operate("transcode", "film.mp4").output.path)
    assert found.index(b"moov") < found.index(b"mdat")


@pytest.mark.parametrize("quality", [("low", "medium"), ("medium", "high"), (40, 20)])
def test_better_quality_is_larger(operate: Operate, quality: tuple[Any, Any]) -> None:
    worse, better = (operate("transcode", "only-picture.mp4", quality=each).output for each in quality)
    assert worse.path.stat().st_size < better.path.stat().st_size


@pytest.mark.parametrize(
    ("clip", "params", "size"),
    [
        ("film.mp4", {"height": 90}, (160, 90)),
        ("film.mp4", {"height": 1080}, (320, 180)),  # never enlarged
        ("rotated.mp4", {}, (180, 320)),
        ("rotated.mp4", {"height": 160}, (90, 160)),
        ("odd.mp4", {}, (320, 180)),
        ("odd.mp4", {"height": 91}, (160, 90)),
        ("wide-pixels.mp4", {}, (426, 180)),
        ("pq.mp4", {"height": 91}, (162, 90)),
    ],
)
def test_the_picture_is_upright_even_and_of_square_pixels(
    operate: Operate, clip: str, params: dict[str, Any], size: tuple[int, int]
) -> None:
    picture = operate("transcode", clip, audio="none", **params).made.video[0]
    assert (picture.width, picture.height) == (picture.coded_width, picture.coded_height) == size
    assert picture.rotation == 0


def test_a_film_made_on_its_side_is_turned_as_players_turn_it(operate: Operate, clips: Clips) -> None:
    lying = colours(clips("film.mp4"), 6, 1)
    standing = colours(operate("transcode", "rotated.mp4").output.path, 1, 6)
    assert all(is_near(one, other) for one, other in zip(lying, reversed(standing), strict=True))


@pytest.mark.parametrize("clip", ["ten-bits.mp4", "odd.mp4", "pq.mp4", "hlg.mp4"])
@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_every_player_can_show_its_pixels(operate: Operate, clip: str, codec: str) -> None:
    done = operate("transcode", clip, codec=codec)
    assert pixel_format(done.output.path) == "yuv420p"
    assert done.made.video[0].hdr == ""


@pytest.mark.parametrize("clip", ["pq.mp4", "hlg.mp4"])
def test_hdr_keeps_its_hues_on_an_ordinary_screen(operate: Operate, clip: str) -> None:
    red, green, _, blue, _, _ = colours(operate("transcode", clip).output.path, 6, 1)
    for colour, strongest in ((red, 0), (green, 1), (blue, 2)):
        others = [value for place, value in enumerate(colour) if place != strongest]
        assert colour[strongest] > 150 > 60 > max(others)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_a_variable_frame_rate_is_kept(operate: Operate, clips: Clips, codec: str) -> None:
    there, here = times(clips("uneven.mp4")), times(operate("transcode", "uneven.mp4", codec=codec).output.path)
    assert here == pytest.approx(there, abs=0.002)
    assert len({round(b - a, 3) for a, b in pairwise(here)}) > 3


@pytest.mark.parametrize("fps", [10, 24, 50])
@pytest.mark.parametrize("clip", ["uneven.mp4", "film.ts"])
def test_fps_gives_a_steady_frame_rate(operate: Operate, clip: str, fps: int) -> None:
    made = times(operate("transcode", clip, fps=fps).output.path)
    assert [b - a for a, b in pairwise(made)] == pytest.approx([1 / fps] * (len(made) - 1), abs=0.001)
    assert len(made) == pytest.approx(2 * fps, abs=2)


@pytest.mark.parametrize("fps", [4, 9, 60])
def test_a_steady_rate_moves_nothing_in_time(operate: Operate, clips: Clips, fps: int) -> None:
    (_, begins), (ends, _) = black(clips("black-then-bars.mp4"))
    before, after = black(operate("transcode", "black-then-bars.mp4", height=90, fps=fps).output.path)
    assert (before[1], after[0]) == pytest.approx((begins, ends), abs=1 / fps + 0.02)


def test_a_long_gap_is_filled_with_frames_in_little_memory(operate: Operate) -> None:
    # Of another size than it was: each copy would be a frame of its own.
    done = operate("transcode", "stands-still.mkv", fps=8, height=178, resident=200 << 20)
    assert done.made.duration == pytest.approx(602, abs=1)
    assert done.made.video[0].frames == pytest.approx(4816, abs=8)


@pytest.mark.parametrize("clip", ["camera.dv", "television.wtv"])
def test_a_wrong_frame_rate_in_the_file_does_not_matter(operate: Operate, clip: str) -> None:
    assert len(times(operate("transcode", clip).output.path)) == 10


def test_interlaced_video_is_deinterlaced(operate: Operate) -> None:
    done = operate("transcode", "halves.ts", quality="high")
    assert len(times(done.output.path)) == 25


@pytest.mark.parametrize("clip", ["film.mp4", "film.mkv", "film.ts"])
@pytest.mark.parametrize("audio", ["auto", "copy"])
def test_a_part_is_cut_out_exactly(operate: Operate, clip: str, audio: str) -> None:
    done = operate("transcode", clip, start=0.5, end="0:01.5", audio=audio)
    assert len(times(done.output.path)) == 30
    assert done.made.duration == pytest.approx(1.0, abs=0.05)


def test_an_end_a_little_past_the_end_is_the_end(operate: Operate) -> None:
    expected = operate("transcode", "only-picture.mp4", end=2.4).output.expected
    assert expected is not None
    assert expected.duration == pytest.approx(2.0, abs=0.1)


def test_of_many_tracks_the_first_of_each_kind_is_kept(operate: Operate) -> None:
    done = operate("transcode", "many-tracks.mkv")
    assert [stream.width for stream in done.made.video] == [320]
    assert len(done.made.audio) == 1
    assert done.made.duration == pytest.approx(2.0, abs=0.2)  # the second sound was longer


@pytest.mark.parametrize("audio", ["auto", "none"])
def test_a_picture_that_ends_before_its_sound_is_no_fault(operate: Operate, audio: str) -> None:
    operate("transcode", "picture-ends-early.mkv", audio=audio)


def test_a_recording_whose_timestamps_restart_is_kept_whole(operate: Operate) -> None:
    assert len(times(operate("transcode", "begins-anew.ts").output.path)) >= 115


def test_a_video_of_one_frame_is_transcoded(operate: Operate) -> None:
    for codec in ("h264", "vp9"):
        assert len(times(operate("transcode", "one-frame.mp4", codec=codec).output.path)) == 1


def test_a_film_without_sound_has_none(operate: Operate) -> None:
    assert operate("transcode", "only-picture.mp4").made.audio == []


def test_four_hours_stay_four_hours(operate: Operate, clips: Clips) -> None:
    done = operate("transcode", "four-hours.mkv", height=90)
    assert done.made.duration == pytest.approx(14_400, rel=0.01)
    assert len(times(done.output.path)) == 240


def test_a_part_late_in_four_hours_is_found_at_once(operate: Operate) -> None:
    assert len(times(operate("transcode", "four-hours.mkv", start="3:00:00", end="3:10:00").output.path)) == 10


@pytest.mark.parametrize(
    ("clip", "failures", "words"),
    [
        ("only-sound.mp4", UnfitMedia, "only sound. Use the operation audio."),
        ("cut.mp4", BadMedia, "cut off"),
        ("cut.mkv", BadMedia, "cut off"),
        ("ruined.mp4", (BadMedia, OutputInvalid), ""),
        ("cut-before-its-index.mp4", BadMedia, ""),
        ("no-media.mp4", BadMedia, ""),
    ],
)
def test_a_file_that_cannot_become_a_video_fails_with_a_reason(
    operate: Operate, clip: str, failures: type[Failure] | tuple[type[Failure], ...], words: str
) -> None:
    with pytest.raises(failures) as told:
        operate("transcode", clip)
    assert words in told.value.detail
    assert told.value.detail.endswith(".")
    assert "/" not in told.value.detail


def test_a_slightly_damaged_video_is_transcoded(operate: Operate) -> None:
    done = operate("transcode", "scratched.mp4")
    assert done.made.duration == pytest.approx(2.0, abs=0.1)


def test_progress_goes_up_and_is_counted_in_frames(operate: Operate) -> None:
    done = operate("transcode", "film.mp4", codec="vp9")
    progress = [report.progress for report in done.reports if report.progress is not None]
    assert progress == sorted(progress)
    assert progress[-1] > 0.9
    assert "of 60 frames" in done.reports[-1].message


@pytest.mark.parametrize("params", [{}, {"codec": "vp9"}, {"codec": "vp9", "audio": "copy"}])
def test_the_output_has_the_format_of_its_name(operate: Operate, params: dict[str, Any]) -> None:
    output = operate("transcode", "film.mp4", **params).output
    media = sniff(output.path.read_bytes()[:HEAD_SIZE])
    assert media is not None
    assert (media.kind, media.name) == (output.kind, output.media_type)
