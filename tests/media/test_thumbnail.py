"""The operation thumbnail: an image from any time of any video."""

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
def test_every_clip_has_an_image_at_every_time(operate: Operate, clip: str, at: Any) -> None:
    operate("thumbnail", clip, at=at, width=100)


@pytest.mark.parametrize("at", [1.97, 1.99, 2, 2.9])
def test_just_after_the_last_frame_the_image_is_the_last_frame(operate: Operate, at: float) -> None:
    last = operate("thumbnail", "film.mp4", at=1.96, format="png").output.path
    assert operate("thumbnail", "film.mp4", at=at, format="png").output.path.read_bytes() == last.read_bytes()


def test_a_time_far_after_the_end_is_refused(operate: Operate) -> None:
    with pytest.raises(UnfitMedia, match=r"at is 30 s, but the video lasts only 2\.\d s\."):
        operate("thumbnail", "film.mp4", at=30)


@pytest.mark.parametrize("clip", ["film.mp4", "film.mkv", "film.ts"])
def test_the_image_is_the_frame_at_the_given_time(operate: Operate, clips: Clips, clip: str) -> None:
    first, later = (operate("thumbnail", clip, at=at, format="png").output.path for at in (0, 1.5))
    assert first.read_bytes() != later.read_bytes()


@pytest.mark.parametrize("clip", ["dim-blurred-clear.mp4", "dim-blurred-clear-and-one-key-frame.mp4"])
def test_the_best_frame_is_clear_and_lit(operate: Operate, clips: Clips, clip: str) -> None:
    best = operate("thumbnail", clip, format="png").output.path
    clear = operate("thumbnail", clip, format="png", at=18.5).output.path
    fields = colours(best, 4, 4), colours(clear, 4, 4)
    assert all(is_near(one, other, 25) for one, other in zip(*fields, strict=True))


def test_the_best_frame_is_not_black(operate: Operate) -> None:
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


def test_an_image_is_scaled_down(operate: Operate) -> None:
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
def test_a_file_without_a_readable_picture_fails_with_a_reason(
    operate: Operate, clip: str, failure: type[Failure], words: str
) -> None:
    with pytest.raises(failure) as told:
        operate("thumbnail", clip)
    assert words in told.value.detail
