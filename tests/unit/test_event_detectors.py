"""How marks of ffmpeg's filters become events: what has not ended, what is too short, and cuts among motion."""

from itertools import pairwise

import pytest

from media_jobs.detection.black import Black
from media_jobs.detection.detector import FilterDetector, Marked
from media_jobs.detection.freeze import Freeze
from media_jobs.detection.scenes import Scenes
from media_jobs.detection.silence import Silence

Marks = list[tuple[float, str, str]]
Spans = list[tuple[float, float]]


def spans(detector: FilterDetector, marks: Marks, end: float = 10.0) -> Spans:
    found = detector.finds([Marked(time, {key: value}) for time, key, value in marks], end)
    assert {(find.detector, find.confidence) for find in found} <= {(detector.name, 1.0)}
    return [(find.start, find.end) for find in found]


def black(*times: float) -> Marks:
    keys = Black.keys * len(times)
    return [(time, key, f"{time:g}") for time, key in zip(times, keys, strict=False)]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], []),
        (black(2, 3), [(2, 3)]),
        (black(0, 1, 9), [(0, 1), (9, 10)]),
        (black(2, 2.1, 5, 6), [(5, 6)]),  # too short
        (black(9.9), []),
        ([*black(2), *black(4, 5)], [(2, 5)]),  # a run that begins in it has marked its own beginning
        ([(3.0, Black.keys[1], "3")], []),
    ],
)
def test_a_stretch_lasts_from_its_first_mark_to_the_next_end(marks: Marks, expected: Spans) -> None:
    assert spans(Black(), marks) == expected


def test_a_mark_of_the_beginning_comes_later_than_the_beginning() -> None:
    begin, stop = Freeze.keys
    assert spans(Freeze(), [(5.0, begin, "3"), (6.0, stop, "6")]) == [(3, 6)]
    begin, stop = Silence.keys
    assert spans(Silence(), [(5.0, begin, "4.5"), (6.2, stop, "6.1")]) == [(4.5, 6.1)]


def test_beginning_and_end_may_be_marks_of_one_frame() -> None:
    values = dict(zip(Freeze.keys, ("3", "33"), strict=True))
    assert [(find.start, find.end) for find in Freeze().finds([Marked(33.0, values)], 40.0)] == [(3, 33)]


def changes(*percents: float, rate: float = 25.0) -> Marks:
    return [(number / rate, Scenes.keys[0], f"{percent:g}") for number, percent in enumerate(percents) if percent]


@pytest.mark.parametrize(
    ("marks", "cuts"),
    [
        ([], []),
        (changes(0, 0, 6), [0.08]),
        (changes(0, 0, 3), []),
        (changes(0, 8, 8, 8, 8), []),  # a camera that pans
        (changes(0, 2, 2, 12, 2), [0.12]),  # and a cut
        (changes(0, 0, 20, 20, 0), []),  # a flash of one frame
        (changes(0, 0, 20, 0, 0, 0, 20, 0), []),  # of four
        (changes(0, 20, *[0] * 20, 20), [0.04, 0.88]),
        (changes(0, 0, 20, 7, 3), [0.08]),  # an encoder that needs some frames for a new scene
    ],
)
def test_a_cut_changes_more_than_what_is_near_it(marks: Marks, cuts: list[float]) -> None:
    assert spans(Scenes(), marks) == list(pairwise([0.0, *cuts, 10.0]))
