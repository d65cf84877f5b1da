"""Writes finds as JSON, WebVTT and CSV. docs/detect.md describes them; `VERSION` changes when a reader must."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from uploads.text.spreadsheet_cells import safe_cell

from ...detection.detector import Detector
from ...detection.sightings import Find
from ..base import Output
from ..shared.cues import clock
from .crop_sheets import PlacedCrop

VERSION = 1
_SHORTEST = 0.04  # seconds that a cue is shown
_PLACES = 4  # decimals of boxes
_COLUMNS = [
    "id", "detector", "label", "text", "confidence", "start", "end", "best", "sightings", "x", "y", "width", "height",
    "image",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finds:
    """All that was found, by numbers from 1 on, in the order of time."""

    detectors: Sequence[Detector]
    duration: float
    looked_at: int
    size: tuple[int, int]
    finds: Mapping[int, Find]
    crops: Mapping[int, PlacedCrop]

    def write(self, folder: Path) -> list[Output]:
        paths = [folder / f"detections.{suffix}" for suffix in ("json", "vtt", "csv")]
        self._write_json(paths[0])
        self._write_vtt(paths[1])
        self._write_csv(paths[2])
        outputs = [
            Output(paths[0].name, paths[0], "", "application/json", None),
            Output(paths[1].name, paths[1], "subtitle", "text/vtt"),
            Output(paths[2].name, paths[2], "", "text/csv", None),
        ]
        return outputs if self.finds else [outputs[0], outputs[2]]

    def _write_json(self, path: Path) -> None:
        """Find by find: the whole as one object in memory would take many times its size."""
        width, height = self.size
        head = {
            "version": VERSION,
            "duration": round(self.duration, 3),
            "frames": {"looked_at": self.looked_at, "width": width, "height": height},
            "detectors": [detector.name for detector in self.detectors],
        }
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head)[:-1] + ', "finds": [')
            for number, find in self.finds.items():
                row = json.dumps(self._json(number, find), ensure_ascii=False)
                file.write(("\n" if number == 1 else ",\n") + row)
            file.write("\n]}\n")

    def _json(self, number: int, find: Find) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": number,
            "detector": find.detector,
            "label": find.label,
            "text": find.text,
            "confidence": round(find.confidence, 3),
            "start": round(find.start, 3),
            "end": round(find.end, 3),
        }
        if find.best is not None:
            found |= {
                "best": round(find.best.time, 3),
                "sightings": find.sightings,
                "path": [[round(time, 3), *box.rounded(_PLACES)] for time, box in find.path],
            }
        if number in self.crops:
            found["crop"] = asdict(self.crops[number])
        return found

    def _write_vtt(self, path: Path) -> None:
        titles = {detector.name: detector.things[0] for detector in self.detectors}
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write("WEBVTT\n\n")
            for number, find in self.finds.items():
                end = max(find.end, find.start + _SHORTEST)
                name = find.label or titles[find.detector]
                words = f"{name} {find.text}" if find.text else name
                times = f"{clock(find.start, '.')} --> {clock(end, '.')}"
                file.write(f"{number}\n{times}\n{escape(words, quote=False)}\n\n")

    def _write_csv(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            for number, find in self.finds.items():
                best, crop = find.best, self.crops.get(number)
                place = [round(best.time, 3), find.sightings, *best.box.rounded(_PLACES)] if best else [""] * 6
                words = [safe_cell(word) for word in (find.detector, find.label, find.text)]
                times = [round(find.confidence, 3), round(find.start, 3), round(find.end, 3)]
                writer.writerow([number, *words, *times, *place, crop.image if crop else ""])
