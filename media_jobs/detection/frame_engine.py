"""The engine of the inference helper that shows each frame to all chosen detectors, and says what they have seen.

A request has a stack of frames, with the one before them at first, if there is one, and their times:
{"times": [0.2, 0.4], "has_before": false}. The answer:
{"seen": [[detector, frame, label, confidence, box, text], …]}.
"""

import importlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from ..ffmpeg.probing.media_facts import tidy
from ..understanding.engine import Answer, Array, Engine
from .detector import FrameDetector, Looker, Picture
from .sightings import Box, Sighting

MOST_SIGHTINGS = 50  # of one detector in one frame: the surest
_REQUESTS = 500


class _Loading(Protocol):
    def load(self, threads: int, **options: str) -> Looker: ...


@dataclass(frozen=True, slots=True)
class FrameEngine:
    lookers: Mapping[str, Looker]  # by the names of the detectors
    min_confidence: float

    def answer(self, request: Mapping[str, Any], arrays: Sequence[Array], /) -> Answer:
        pictures = cast(Picture, arrays[0])
        first = 1 if request["has_before"] else 0
        seen = [
            [name, number, sighting.label, sighting.confidence, sighting.box.rounded(5), sighting.text]
            for number, time in enumerate(request["times"])
            for name, looker in self.lookers.items()
            for sighting in self._look(looker, pictures, number + first, time)
        ]
        return {"seen": seen}

    def _look(self, looker: Looker, pictures: Picture, place: int, time: float) -> list[Sighting]:
        before = pictures[place - 1] if place else None
        found = [tidied(sighting) for sighting in looker.look(pictures[place], before, time)]
        sure = [sighting for sighting in found if sighting.confidence >= self.min_confidence]
        return sorted(sure, key=lambda sighting: -sighting.confidence)[:MOST_SIGHTINGS]


def load(options: str, *, threads: int) -> FrameEngine:
    chosen = json.loads(options)
    lookers = {
        name: cast(_Loading, importlib.import_module(module)).load(threads, **given)
        for name, module, given in chosen["detectors"]
    }
    return FrameEngine(lookers, chosen["min_confidence"])


def frame_engine(
    detectors: Sequence[FrameDetector], given: Mapping[str, str | float | None], min_confidence: float
) -> Engine:
    """`given`: the parameters of the operation that a detector may take."""
    chosen = [
        (
            detector.name,
            detector.module,
            {**detector.options(), **{name: value for name in detector.takes if (value := given[name]) is not None}},
        )
        for detector in detectors
    ]
    options = json.dumps({"detectors": chosen, "min_confidence": min_confidence})
    files = tuple(path for detector in detectors for path in detector.files())
    return Engine(__name__, (options,), files, requests=_REQUESTS)


def sightings_of(answer: Answer, times: Sequence[float]) -> Iterator[tuple[str, int, Sighting]]:
    """With the name of the detector and the number of the frame."""
    for name, number, label, confidence, box, text in answer["seen"]:
        yield name, number, Sighting(times[number], label, confidence, Box(*box), text)


def tidied(sighting: Sighting) -> Sighting:
    """What a detector says is as little trusted as the picture that it has seen."""
    box = sighting.box
    left, top = _share(box.x), _share(box.y)
    right, bottom = _share(box.x + box.width), _share(box.y + box.height)
    return Sighting(
        sighting.time,
        tidy(sighting.label),
        round(_share(sighting.confidence), 4),
        Box(left, top, max(0.0, right - left), max(0.0, bottom - top)),
        tidy(sighting.text),
    )


def _share(value: float) -> float:
    return min(1.0, max(0.0, float(value))) if math.isfinite(value) else 0.0
