"""How marks of ffmpeg's filters become events: what has not ended, what is too short, and cuts among motion."""

from itertools import pairwise

import pytest

from media_jobs.detection.black import Black
from media_jobs.detection.detector import FilterDetector, Marked
from media_jobs.detection.frame_changes import CHANGE, FIRST
from media_jobs.detection.freeze import Freeze
from media_jobs.detection.scenes import Scenes
from media_jobs.detection.silence import Silence

Marks = list[tuple[float, str, str]]
Spans = list[tuple[float, float]]

FROZEN, MOVES = Freeze.begin_key, Freeze.end_key


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
    assert spans(Freeze(), [(5.0, FROZEN, "3"), (6.0, MOVES, "6")]) == [(3, 6)]
    begin, stop = Silence.keys
    assert spans(Silence(), [(5.0, begin, "4.5"), (6.2, stop, "6.1")]) == [(4.5, 6.1)]


def test_beginning_and_end_may_be_marks_of_one_frame() -> None:
    values = dict(zip((FROZEN, MOVES), ("3", "33"), strict=True))
    assert [(find.start, find.end) for find in Freeze().finds([Marked(33.0, values)], 40.0)] == [(3, 33)]


@pytest.mark.parametrize(
    ("change", "again", "expected"),
    [
        (0.0, 4.04, [(2, 6)]),  # a key frame
        (1.2, 4.16, [(2, 6)]),
        (3.0, 3.9, [(3.9, 6)]),  # another picture
        (1.2, 4.5, []),  # something has moved
    ],
)
def test_a_key_frame_does_not_end_a_freeze(change: float, again: float, expected: Spans) -> None:
    marks = [
        Marked(2.5, {FROZEN: "2"}),
        Marked(3.9, {MOVES: "3.9", CHANGE: f"{change}"}),
        Marked(again + 0.5, {FROZEN: f"{again}"}),
        Marked(6.0, {MOVES: "6", CHANGE: "9"}),
    ]
    assert [(find.start, find.end) for find in Freeze().finds(marks, 10.0)] == expected


def test_single_frames_of_a_slow_recording_are_no_freeze() -> None:
    marks = [Marked(second, {FROZEN: f"{second - 1}", MOVES: f"{second}"}) for second in range(1, 10)]
    assert Freeze().finds(marks, 10.0) == []


def changes(*percents: float, rate: float = 25.0) -> Marks:
    """The first of them is one second after the first frame."""
    shown = [(1 + number / rate, CHANGE, f"{percent:g}") for number, percent in enumerate(percents) if percent]
    return [(0.0, FIRST, "1"), *shown]


@pytest.mark.parametrize(
    ("marks", "cuts"),
    [
        (changes(), []),
        (changes(0, 0, 6), [1.08]),
        (changes(0, 0, 3), []),
        (changes(0, 8, 8, 8, 8), []),  # a camera that pans
        (changes(0, 2, 2, 12, 2), [1.12]),  # and a cut
        (changes(0, 0, 20, 20, 0), []),  # a flash of one frame
        (changes(0, 0, 20, 0, 0, 0, 20, 0), []),  # of four
        (changes(0, 20, *[0] * 20, 20), [1.04, 1.88]),
        (changes(0, 0, 20, 7, 3), [1.08]),  # an encoder that needs some frames for a new scene
    ],
)
def test_a_cut_changes_more_than_what_is_near_it(marks: Marks, cuts: list[float]) -> None:
    assert spans(Scenes(), marks) == list(pairwise([0.0, *cuts, 10.0]))


def test_the_first_scene_begins_with_the_first_frame() -> None:
    assert spans(Scenes(), [(1.0, FIRST, "1")]) == [(1, 10)]
    assert spans(Scenes(), []) == []


def test_a_freeze_begins_before_the_encoder_has_finished_its_picture() -> None:
    shown = [(number / 25, CHANGE, f"{percent}") for number, percent in enumerate([6, 6, 6, 6, 1.5, 1.2, 1.1])]
    assert spans(Freeze(), [*shown, (0.8, FROZEN, "0.3"), (4.0, MOVES, "4")]) == [(0.12, 4)]
    assert spans(Freeze(), [(1.0, FIRST, "1"), (1.8, FROZEN, "1.3")]) == [(1, 10)]
