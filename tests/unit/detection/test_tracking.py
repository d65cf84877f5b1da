"""From sightings to finds: what belongs together, what never does, and how a text is read by many."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from media_jobs.detection.sightings import Box, Find, Sighting
from media_jobs.detection.texts import differences
from media_jobs.detection.tracking import Tracker

STEP = 0.2  # seconds between two frames


def plate(text: str, x: float, y: float = 0.5, confidence: float = 0.9) -> Sighting:
    return Sighting(0.0, "plate", confidence, Box(x, y, 0.1, 0.03), text)


def frames(*seen: Sequence[Sighting]) -> Mapping[float, Sequence[Sighting]]:
    """The sightings of each frame, at its time."""
    return {
        round(number * STEP, 3): [
            Sighting(round(number * STEP, 3), each.label, each.confidence, each.box, each.text) for each in sightings
        ]
        for number, sightings in enumerate(seen)
    }


def tracked(seen: Mapping[float, Sequence[Sighting]], tracker: Tracker | None = None) -> list[Find]:
    tracker = tracker or Tracker("plates")
    finds = [find for time, sightings in seen.items() for find in tracker.add(time, sightings)]
    return sorted([*finds, *tracker.finish()], key=lambda find: (find.start, find.text))


def texts(seen: Mapping[float, Sequence[Sighting]]) -> list[str]:
    return [find.text for find in tracked(seen)]


def test_what_moves_is_one_find_from_its_first_to_its_last_sighting() -> None:
    [find] = tracked(frames([], *([plate("AB123CD", 0.1 + 0.05 * number)] for number in range(10)), []))
    assert (find.detector, find.label, find.text, find.sightings) == ("plates", "plate", "AB123CD", 10)
    assert (find.start, find.end) == (0.2, 2.0)
    assert find.confidence == 0.9
    assert [time for time, _ in find.path] == [0.2, 2.0]  # it moved in a straight line


def test_two_plates_that_differ_in_one_character_and_are_seen_together_stay_two() -> None:
    both = [plate("AB123CD", 0.1), plate("AB123CE", 0.25)]
    assert texts(frames(*[both] * 8)) == ["AB123CD", "AB123CE"]


def test_equal_texts_in_one_frame_stay_two_finds() -> None:
    assert texts(frames(*[[plate("AB123CD", 0.1), plate("AB123CD", 0.3)]] * 4)) == ["AB123CD", "AB123CD"]


def test_plates_that_pass_each_other_keep_their_texts() -> None:
    seen = frames(*([plate("AB123CD", 0.1 + 0.04 * n), plate("AB123CE", 0.5 - 0.04 * n, 0.52)] for n in range(11)))
    finds = tracked(seen)
    assert [(find.text, find.sightings) for find in finds] == [("AB123CD", 11), ("AB123CE", 11)]
    assert [find.path[-1][1].x for find in finds] == pytest.approx([0.5, 0.1])


def test_the_text_is_the_one_with_most_votes_weighed_by_confidence() -> None:
    read = [("AB123CO", 0.5), ("AB123CO", 0.55), ("AB123CD", 0.9), ("AB123CD", 0.95), ("A8123CO", 0.6)]
    [find] = tracked(frames(*([plate(text, 0.1, confidence=sure)] for text, sure in read)))
    assert (find.text, find.sightings, find.confidence) == ("AB123CD", 5, 0.925)
    assert find.best is not None
    assert (find.best.time, find.best.text) == (0.6, "AB123CD")


def test_what_is_seen_once_is_taken_for_an_error_unless_the_detector_says_otherwise() -> None:
    seen = frames([plate("AB123CD", 0.1)], *[[]] * 5)
    assert tracked(seen) == []
    assert len(tracked(seen, Tracker("plates", least=1))) == 1
    rare = Tracker("plates", keeps_rare=True)
    assert len(tracked(seen, rare)) == 1
    assert (rare.count, rare.different_texts) == (0, 0)


def test_a_plate_may_be_missed_in_three_frames() -> None:
    here, gone = [plate("AB123CD", 0.1)], list[Sighting]()
    [find] = tracked(frames(here, here, gone, gone, gone, here))
    assert (find.sightings, find.end) == (3, 1.0)


def test_one_that_is_lost_for_seconds_is_the_same_and_after_that_another_time() -> None:
    here, gone = [plate("AB123CD", 0.1)], list[Sighting]()
    assert [find.sightings for find in tracked(frames(here, here, *[gone] * 12, here, here))] == [4]
    assert [find.sightings for find in tracked(frames(here, here, *[gone] * 20, here, here))] == [2, 2]


def test_a_lost_one_that_is_misread_elsewhere_is_the_same_but_not_if_both_are_read_steadily() -> None:
    gone = [list[Sighting]()] * 6
    first, weak = [[plate("AB123CD", 0.1)]] * 6, [[plate("AB123CO", 0.6)]] * 2
    assert texts(frames(*first, *gone, *weak)) == ["AB123CD"]
    assert texts(frames(*first, *gone, *weak * 3)) == ["AB123CD", "AB123CO"]


def test_a_display_that_changes_its_text_in_its_place_is_another_find() -> None:
    assert texts(frames(*[[plate("DEPARTURES", 0.1)]] * 4, *[[plate("GATE 12", 0.1)]] * 4)) == [
        "DEPARTURES",
        "GATE 12",
    ]


def test_without_a_text_places_decide() -> None:
    def thing(x: float, label: str = "car") -> Sighting:
        return Sighting(0.0, label, 0.8, Box(x, 0.4, 0.1, 0.1))

    seen = frames(*([thing(0.1 + 0.02 * number), thing(0.7)] for number in range(6)))
    assert [find.sightings for find in tracked(seen)] == [6, 6]
    assert len(tracked(frames(*[[thing(0.1)]] * 3, *[[thing(0.1, "dog")]] * 3))) == 2


def test_counts_are_right_while_it_goes_on() -> None:
    tracker = Tracker("plates")
    here, gone = [plate("AB123CD", 0.1)], list[Sighting]()
    counts = []
    for time, sightings in frames(here, here, *[gone] * 20, here, here).items():
        tracker.add(time, sightings)
        counts.append((tracker.count, tracker.different_texts))
    assert counts[0] == (0, 0)
    assert counts[1] == counts[21] == (1, 1)
    assert counts[-1] == (2, 1)  # two times, one text


def test_a_path_of_two_hours_is_short_and_true() -> None:
    tracker = Tracker("plates")
    steps = [(0.2 + 0.3 * abs((number % 200) / 100 - 1), number * STEP) for number in range(36_000)]
    for x, time in steps:
        tracker.add(time, [Sighting(time, "plate", 0.9, Box(x, 0.5, 0.1, 0.03), "AB123CD")])
    [find] = tracker.finish()
    assert find.sightings == 36_000
    assert len(find.path) < 5_000
    ways = iter(pairwise(find.path))
    (begin, start), (end, stop) = next(ways)
    for x, time in steps:
        while time > end:
            (begin, start), (end, stop) = next(ways)
        between = start.x + (stop.x - start.x) * (time - begin) / (end - begin)
        assert abs(between - x) < 0.02


@pytest.mark.parametrize(
    ("one", "other", "most", "found"),
    [
        ("AB123CD", "AB123CD", 2, 0),
        ("AB123CD", "AB123CE", 2, 1),
        ("AB123CD", "B123CD", 2, 1),
        ("AB123CD", "BA123CD", 2, 2),
        ("AB123CD", "XYZ", 2, 3),
        ("", "AB", 4, 2),
        ("kitten", "sitting", 4, 3),
        ("kitten", "sitting", 2, 3),
    ],
)
def test_differences_are_counted_up_to_a_limit(one: str, other: str, most: int, found: int) -> None:
    assert differences(one, other, most) == differences(other, one, most) == found
