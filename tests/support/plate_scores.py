"""How right the number plates are that `detect` has found in a drawn clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from media_jobs.detection.boxes import overlap
from media_jobs.detection.sightings import Box

from .drawn_plates import DrawnClip, DrawnPlate

_COMMON = 0.3  # of a drawn box and a found one, to be of the same thing


@dataclass
class PlateScore:
    plates: int = 0
    found: int = 0
    exact: int = 0
    false: int = 0  # finds of what is no plate, and second finds of one
    late: list[float] = field(default_factory=list)  # seconds by which beginnings and ends are wrong
    clips: int = 0
    counted: int = 0  # clips in which there are as many finds as plates
    wrong: list[str] = field(default_factory=list)  # in words

    def add(self, clip: DrawnClip, finds: Sequence[Mapping[str, Any]]) -> None:
        by_plate: dict[int, list[Mapping[str, Any]]] = {}
        for find in finds:
            number = _plate_of(find, clip.plates)
            if number is None:
                self.false += 1
                self.wrong.append(f"{find['text']} at {find['start']} s is none")
            else:
                by_plate.setdefault(number, []).append(find)
        for number, plate in enumerate(clip.plates):
            self._add_plate(plate, by_plate.get(number, []))
        self.clips += 1
        self.counted += len(finds) == len(clip.plates)

    def _add_plate(self, plate: DrawnPlate, finds: Sequence[Mapping[str, Any]]) -> None:
        self.plates += 1
        if not finds:
            self.wrong.append(f"{plate.text} was not found")
            return
        self.found += 1
        self.false += len(finds) - 1
        best = max(finds, key=lambda find: find["sightings"])
        self.exact += best["text"] == plate.text
        if any(find["text"] != plate.text for find in finds):
            self.wrong.append(f"{plate.text} was read as {', '.join(find['text'] for find in finds)}")
        self.late.append(abs(min(find["start"] for find in finds) - plate.start))
        self.late.append(abs(max(find["end"] for find in finds) - plate.end))


def _plate_of(find: Mapping[str, Any], plates: Sequence[DrawnPlate]) -> int | None:
    """The number of the plate that is where the find is, at most of its times."""
    hits = [0] * len(plates)
    for time, *place in find["path"]:
        for number, plate in enumerate(plates):
            drawn = plate.path.get(min(plate.path, key=lambda shown: abs(shown - time)))
            if drawn is not None and plate.start - 0.1 <= time <= plate.end + 0.1:
                hits[number] += overlap(Box(*place), drawn) > _COMMON
    return hits.index(max(hits)) if any(hits) else None
