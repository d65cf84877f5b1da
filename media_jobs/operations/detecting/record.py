"""What was seen and heard in one span, in files: the sightings of each frame, the marks of filters, and crops.

Nothing is kept in memory, and another attempt or another worker can put the spans of a file together.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from ...detection.detector import FilterDetector, Marked
from ...detection.sightings import Box, Find
from .crops import Crop, CropPlace, PicturedSighting
from .marks import mark_files, marks_in
from .span import Span

SIGHTINGS, CROPS, SUMMARY = "sightings.jsonl", "crops.raw", "span.json"
MOST_CROPS = 3000


@dataclass(frozen=True, slots=True)
class Summary:
    span: Mapping[str, Any]
    end: float  # the time at which it was read to its end
    looked_at: int = 0  # frames that the detectors have seen
    width: int = 0
    height: int = 0
    crops: Sequence[Any] = ()  # the detector, time and box of each, and where it is
    message: str = ""  # why the file could not be read to its end


@dataclass(slots=True)
class RecordWriter:
    """Writes what FrameDetectors see."""

    folder: Path
    crops: list[Any] = field(default_factory=list)
    _sightings: TextIO = field(init=False)
    _crops: BinaryIO = field(init=False)

    def __post_init__(self) -> None:
        self._sightings = (self.folder / SIGHTINGS).open("w", encoding="utf-8")
        self._crops = (self.folder / CROPS).open("wb")

    def add(self, time: float, seen: Mapping[str, Sequence[PicturedSighting]]) -> None:
        """A frame, with what each detector saw in it."""
        line = [
            [name, each.label, each.confidence, each.box.numbers, each.text, each.merit]
            for name, sightings in seen.items()
            for each in sightings
        ]
        self._sightings.write(json.dumps([time, line], ensure_ascii=False) + "\n")

    def keep_crop(self, find: Find) -> None:
        best = find.best
        if not isinstance(best, PicturedSighting) or not isinstance(best.crop, np.ndarray):
            return
        if len(self.crops) >= MOST_CROPS:
            return
        height, width = best.crop.shape[:2]
        key = [find.detector, best.time, best.box.numbers]
        self.crops.append([*key, self._crops.tell(), width, height])
        self._crops.write(best.crop.tobytes())

    def close(self) -> None:
        self._sightings.close()
        self._crops.close()


def write_summary(folder: Path, summary: Summary) -> None:
    (folder / SUMMARY).write_text(json.dumps(asdict(summary)), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Record:
    """The files of a span, as they are read again. `number` is its place among the spans of the file."""

    number: int
    files: Mapping[str, Path]

    @property
    def summary(self) -> Summary:
        return Summary(**json.loads(self.files[SUMMARY].read_text(encoding="utf-8")))

    def frames(self) -> Iterator[tuple[float, Mapping[str, Sequence[PicturedSighting]]]]:
        """The time of each frame, and what the detectors saw in it. Those that have no crop any more have None."""
        if SIGHTINGS not in self.files:
            return
        places = {
            (name, time, *box): CropPlace(self.number, offset, width, height)
            for name, time, box, offset, width, height in self.summary.crops
        }
        with self.files[SIGHTINGS].open(encoding="utf-8") as lines:
            for line in lines:
                time, seen = json.loads(line)
                found: dict[str, list[PicturedSighting]] = {}
                for name, label, confidence, box, text, merit in seen:
                    place = places.get((name, time, *box))
                    found.setdefault(name, []).append(
                        PicturedSighting(time, label, confidence, Box(*box), text, place, merit)
                    )
                yield time, found

    def marks(self, detector: FilterDetector) -> Iterator[Marked]:
        return marks_in(self.files, detector, Span(**self.summary.span))

    def crop(self, place: CropPlace) -> Crop:
        with self.files[CROPS].open("rb") as file:
            file.seek(place.offset)
            raw = file.read(place.width * place.height * 3)
        return np.frombuffer(raw, np.uint8).reshape(place.height, place.width, 3)


def made_in(folder: Path, detectors: Sequence[FilterDetector]) -> Mapping[str, Path]:
    """The files of a record by their names. An empty one says nothing."""
    names = [SUMMARY, SIGHTINGS, CROPS, *(name for detector in detectors for name in mark_files(detector))]
    paths = [folder / name for name in names]
    return {path.name: path for path in paths if path.exists() and path.stat().st_size}
