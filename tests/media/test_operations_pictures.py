"""A picture of whatever has one, from any place in it, and what inspecting says of a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import BadMedia, Failure, UnfitMedia
from tests.support.operation_runs import Operate
from uploads.content.sniffing import HEAD_SIZE, sniff

from ..support.media_checks import colours, is_near

Clips = Callable[[str], Path]
FILMS = ["film.mp4", "film.mkv", "film.ts", "one-frame.mp4", "uneven.mp4", "halves.ts", "four-hours.mkv", "hlg.mp4"]


@pytest.mark.parametrize("at", ["best", 0, "50%", "100%"])
@pytest.mark.parametrize("clip", [*FILMS, "cut.mp4", "cut.mkv", "scratched.mp4"])
def test_there_is_a_picture_at_every_place(operate: Operate, clip: str, at: Any) -> None:
    operate("thumbnail", clip, at=at, width=100)


@pytest.mark.parametrize("at", [1.97, 1.99, 2, 2.9])
def test_past_the_last_frame_there_is_the_last_frame(operate: Operate, at: float) -> None:
    last = operate("thumbnail", "film.mp4", at=1.96, format="png").output.path
    assert operate("thumbnail", "film.mp4", at=at, format="png").output.path.read_bytes() == last.read_bytes()


def test_far_past_the_end_there_is_none(operate: Operate) -> None:
    with pytest.raises(UnfitMedia, match=r"at is 30 s, but the video lasts only 2\.\d s\."):
        operate("thumbnail", "film.mp4", at=30)


@pytest.mark.parametrize("clip", ["film.mp4", "film.mkv", "film.ts"])
def test_the_frame_of_a_moment_is_the_one_shown_then(operate: Operate, clips: Clips, clip: str) -> None:
    first, later = (operate("thumbnail", clip, at=at, format="png").output.path for at in (0, 1.5))
    assert first.read_bytes() != later.read_bytes()


def test_the_best_frame_is_no_black_one(operate: Operate) -> None:
    red = colours(operate("thumbnail", "black-then-bars.mp4").output.path, 1, 1)[0]
    assert red[0] > 100


@pytest.mark.parametrize(("format", "media"), [("jpg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp")])
@pytest.mark.parametrize("clip", ["film.mp4", "odd.mp4", "pq.mp4"])
def test_each_format_is_what_it_is_called(operate: Operate, format: str, media: str, clip: str) -> None:
    output = operate("thumbnail", clip, format=format).output
    assert (output.name, output.kind, output.media_type) == (f"thumbnail.{format}", "image", media)
    found = sniff(output.path.read_bytes()[:HEAD_SIZE])
    assert found is not None
    assert found.name == media


@pytest.mark.parametrize(
    ("clip", "width", "size"),
    [
        ("film.mp4", 100, (100, 56)),
        ("film.mp4", 3840, (320, 180)),
        ("ten-bits.mp4", 100, (100, 56)),
        ("only-picture.mp4", 100, (100, 56)),
        ("many-tracks.mkv", 100, (100, 56)),
        ("rotated.mp4", 90, (90, 160)),
        ("odd.mp4", 3840, (321, 181)),
        ("wide-pixels.mp4", 3840, (427, 180)),
        ("hlg.mp4", 101, (101, 57)),
    ],
)
def test_a_picture_is_upright_and_has_its_shape(
    operate: Operate, clip: str, width: int, size: tuple[int, int]
) -> None:
    picture = operate("thumbnail", clip, width=width).made.video[0]
    assert (picture.width, picture.height) == size


@pytest.mark.parametrize("format", ["jpg", "png", "webp"])
def test_a_picture_has_the_colours_of_its_film(operate: Operate, clips: Clips, format: str) -> None:
    there = colours(clips("film.mp4"), 6, 1)
    here = colours(operate("thumbnail", "film.mp4", at=0, format=format).output.path, 6, 1)
    assert all(is_near(one, other, 12) for one, other in zip(there, here, strict=True))


def test_an_image_has_a_smaller_one(operate: Operate) -> None:
    picture = operate("thumbnail", "still.png", kind="image", at=5, width=320).made.video[0]
    assert (picture.width, picture.height) == (320, 180)


@pytest.mark.parametrize(
    ("clip", "failure", "words"),
    [
        ("only-sound.mp4", UnfitMedia, "This file has no picture, only sound."),
        ("ruined.mp4", BadMedia, "No picture can be read from this file: it is damaged or cut off."),
        ("no-media.mp4", BadMedia, ""),
    ],
)
def test_where_no_picture_can_be_had_the_reason_is_told(
    operate: Operate, clip: str, failure: type[Failure], words: str
) -> None:
    with pytest.raises(failure) as told:
        operate("thumbnail", clip)
    assert words in told.value.detail


ODD = ["rotated.mp4", "odd.mp4", "ten-bits.mp4", "only-picture.mp4", "many-tracks.mkv", "pq.mp4"]


@pytest.mark.parametrize("clip", [*FILMS, *ODD, "cut.mp4", "cut.mkv", "scratched.mp4"])
def test_inspecting_a_film_tells_its_facts_and_makes_a_poster(operate: Operate, clip: str) -> None:
    done = operate("inspect", clip)
    assert done.facts is not None
    assert done.facts.picture is not None
    assert (done.output.name, done.output.kind) == ("poster.jpg", "image")


def test_a_poster_is_no_wider_than_a_page_needs(operate: Operate) -> None:
    picture = operate("inspect", "still.png", kind="image").made.video[0]
    assert (picture.width, picture.height) == (640, 360)


@pytest.mark.parametrize("clip", ["only-sound.mp4", "speech.flac", "silence.wav", "click.wav", "surround.mkv"])
def test_inspecting_sound_draws_its_waveform(operate: Operate, clip: str) -> None:
    done = operate("inspect", clip, kind="audio")
    assert done.facts is not None
    assert done.facts.audio
    assert (done.output.name, done.output.media_type) == ("waveform.png", "image/png")


def test_a_waveform_grows_with_its_sound(operate: Operate) -> None:
    columns = colours(operate("inspect", "speech.flac", kind="audio").output.path, 8, 1)
    blue = [column[2] for column in columns]
    assert blue == sorted(blue)
    assert blue[-1] > 1.5 * blue[0] > 0


def test_four_hours_of_sound_are_drawn_in_little_memory(operate: Operate) -> None:
    assert operate("inspect", "four-hours.flac", kind="audio").output.name == "waveform.png"


def test_where_no_poster_can_be_made_the_facts_count(operate: Operate) -> None:
    done = operate("inspect", "ruined.mp4")
    assert done.outputs == []
    assert done.facts is not None
    assert done.facts.duration == pytest.approx(2.0, abs=0.1)
    assert done.message.startswith("No preview could be made. No picture can be read")


@pytest.mark.parametrize("clip", ["no-media.mp4", "cut-before-its-index.mp4"])
def test_what_cannot_be_read_at_all_is_bad_media(operate: Operate, clip: str) -> None:
    with pytest.raises(BadMedia):
        operate("inspect", clip)
