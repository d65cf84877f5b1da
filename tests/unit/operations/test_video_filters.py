"""Sizes of pictures and filters for them."""

import pytest

from media_jobs.ffmpeg.probing.media_facts import VideoStream
from media_jobs.operations.shared.video_filters import (
    deinterlace_filters,
    even_size,
    fit_size,
    scale_filter,
    tone_map_filters,
)


def picture(width: int, height: int, **facts: object) -> VideoStream:
    known = {"index": 0, "codec": "h264", "width": width, "height": height}
    return VideoStream.model_validate({**known, "coded_width": width, "coded_height": height, **facts})


@pytest.mark.parametrize(
    ("size", "bounds", "fit"),
    [
        ((1920, 1080), {"height": 720}, (1280, 720)),
        ((1920, 1080), {"width": 640}, (640, 360)),
        ((1080, 1920), {"height": 720}, (405, 720)),
        ((320, 180), {"height": 1080}, (320, 180)),
        ((320, 180), {"width": 640}, (320, 180)),
        ((320, 180), {}, (320, 180)),
        ((4000, 1), {"width": 640}, (640, 1)),
        ((1, 40_000), {"width": 640}, (1, 16_383)),
    ],
)
def test_a_picture_keeps_its_shape_and_is_never_enlarged(
    size: tuple[int, int], bounds: dict[str, int], fit: tuple[int, int]
) -> None:
    assert fit_size(picture(*size), **bounds) == fit


@pytest.mark.parametrize(
    ("size", "evened"),
    [((321, 181), (320, 180)), ((320, 180), (320, 180)), ((1, 1), (2, 2)), ((405, 720), (404, 720))],
)
def test_a_video_has_even_sides(size: tuple[int, int], evened: tuple[int, int]) -> None:
    assert even_size(size) == evened


def test_pixels_become_square() -> None:
    assert scale_filter(picture(426, 180), (426, 180)).endswith(",setsar=1")


def test_only_hdr_is_tone_mapped() -> None:
    assert tone_map_filters(picture(320, 180)) == []
    assert any("tonemap" in step for step in tone_map_filters(picture(320, 180, hdr="pq")))
    assert any("arib-std-b67" in step for step in tone_map_filters(picture(320, 180, hdr="hlg")))


def test_a_tiny_picture_is_not_deinterlaced() -> None:
    assert deinterlace_filters(picture(2, 2)) == []
    assert deinterlace_filters(picture(320, 180)) != []
