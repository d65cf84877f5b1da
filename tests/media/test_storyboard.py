"""The operation storyboard: sheets of pictures, and a WebVTT file that says which picture is shown when."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from media_jobs.errors import BadMedia, UnfitMedia
from media_jobs.operations.shared.sprite_sheets import Spacing
from tests.support.operation_runs import Done, Operate

from ..support.media_checks import decoded

Clips = Callable[[str], Path]
CUE = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{3}) --> (\d\d):(\d\d):(\d\d\.\d{3})\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)\n")


@dataclass(frozen=True)
class Cue:
    start: float
    end: float
    sheet: str
    area: tuple[int, int, int, int]


def cues(done: Done) -> list[Cue]:
    text = done.outputs[0].path.read_text()
    assert text.startswith("WEBVTT\n\n")
    found = []
    for hours, minutes, seconds, *end, sheet, x, y, w, h in CUE.findall(text):
        start, stop = (int(a) * 3600 + int(b) * 60 + float(c) for a, b, c in ((hours, minutes, seconds), end))
        found.append(Cue(start, stop, sheet, (int(x), int(y), int(w), int(h))))
    return found


def grey(path: Path, filters: str) -> bytes:
    return decoded(path, "-vf", f"{filters},scale=16:9:flags=area,format=gray", "-frames:v", "1", "-f", "rawvideo")


def shown(done: Done, cue: Cue) -> bytes:
    """A small grey copy of the picture of a cue."""
    path = next(output.path for output in done.outputs if output.name == cue.sheet)
    x, y, w, h = cue.area
    return grey(path, f"crop={w}:{h}:{x}:{y}")


def at(path: Path, seconds: float) -> bytes:
    return grey(path, f"select='gte(t,{seconds - 0.001:.3f})'")


def distance(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def test_each_cue_shows_the_frame_of_its_time(operate: Operate, clips: Clips) -> None:
    """From key frames, which are two seconds apart."""
    done = operate("storyboard", "faststart.mp4", interval=2, columns=3, width=80)
    found = cues(done)
    assert [cue.start for cue in found] == [0, 2, 4, 6, 8, 10, 12]
    assert [cue.end for cue in found[:-1]] == [2, 4, 6, 8, 10, 12]
    assert found[-1].end == pytest.approx(14, abs=0.1)
    assert [cue.area for cue in found[:4]] == [(0, 0, 80, 44), (80, 0, 80, 44), (160, 0, 80, 44), (0, 44, 80, 44)]
    assert [output.name for output in done.outputs] == ["storyboard.vtt", "storyboard-001.jpg"]
    assert all(distance(shown(done, cue), at(clips("faststart.mp4"), cue.start)) < 8 for cue in found)
    assert re.fullmatch(r"Drew \d of 7 frames.*", done.reports[-1].message)


def test_where_key_frames_are_too_far_apart_all_frames_are_decoded(operate: Operate, clips: Clips) -> None:
    done = operate("storyboard", "few-key-frames.mp4", interval=1, width=80)
    found = cues(done)
    assert len(found) in {14, 15}
    assert all(abs(cue.start - round(cue.start)) < 0.15 for cue in found)
    assert all(distance(shown(done, cue), at(clips("few-key-frames.mp4"), cue.start)) < 8 for cue in found[::5])


@pytest.mark.parametrize(
    ("clip", "params", "size", "count"),
    [
        ("rotated.mp4", {"width": 90}, (90, 160), 2),
        ("wide-pixels.mp4", {"width": 64}, (64, 26), 2),
        ("pq.mp4", {"width": 64}, (64, 36), 2),
        ("uneven.mp4", {"interval": 0.5, "width": 64}, (64, 36), 4),
        ("one-frame.mp4", {}, (160, 90), 1),
        ("film.ts", {"interval": 1, "width": 64}, (64, 36), 2),
        ("orderly.avi", {"interval": 2, "width": 64}, (64, 36), 7),
    ],
)
def test_pictures_are_upright_and_have_their_shape(
    operate: Operate, clip: str, params: dict[str, Any], size: tuple[int, int], count: int
) -> None:
    found = cues(operate("storyboard", clip, **params))
    assert found[0].start == 0
    assert {cue.area[2:] for cue in found} == {size}
    assert abs(len(found) - count) <= 1


def test_times_count_from_the_beginning_of_the_file_and_not_of_its_picture(operate: Operate) -> None:
    late, other = (
        cues(operate("storyboard", f"late-picture.{kind}", interval=2, width=64)) for kind in ("ts", "mkv")
    )
    assert [cue.start for cue in late] == pytest.approx([cue.start for cue in other], abs=0.05)


def test_many_pictures_are_on_several_sheets(operate: Operate) -> None:
    done = operate("storyboard", "four-hours.mkv", interval=60, width=32)
    found = cues(done)
    assert 230 <= len(found) <= 240
    assert [output.name for output in done.outputs[1:]] == [f"storyboard-00{number}.jpg" for number in (1, 2, 3)]
    assert found[100].sheet == "storyboard-002.jpg"


def test_of_a_file_that_is_cut_off_the_rest_is_shown(operate: Operate) -> None:
    done = operate("storyboard", "cut.mkv", interval=0.5, width=64)
    assert cues(done)


@pytest.mark.parametrize(
    ("clip", "params", "error", "words"),
    [
        ("four-hours.mkv", {"interval": 1}, UnfitMedia, "Choose an interval of at least 4.9 seconds."),
        ("only-sound.mp4", {}, UnfitMedia, "This file has no picture, only sound."),
        ("ruined.mp4", {}, BadMedia, "No picture can be read from this file"),
    ],
)
def test_what_cannot_be_drawn_fails_with_a_reason(
    operate: Operate, clip: str, params: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        operate("storyboard", clip, **params)


@pytest.mark.parametrize(
    ("duration", "spacing"),
    [
        (None, Spacing(10, 10)), (3.0, Spacing(1, 0.5)), (300.0, Spacing(3, 10)), (3600.0, Spacing(10, 10)),
        (60_000.0, Spacing(20, 20)),
    ],
)  # fmt: skip
def test_the_usual_interval_depends_on_the_duration(duration: float | None, spacing: Spacing) -> None:
    assert Spacing.of(None, duration) == spacing
