"""What a job of `detect` leaves, written by hand: detections.json as docs/detect.md describes it, and its crops."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.support.troubled_clips import ffmpeg

CROP = (120, 40)  # width and height of each crop; ten are beside each other on the sheet


def plate(text: str, start: float, end: float, *, confidence: float = 0.9, crop: int = 0) -> dict[str, Any]:
    """It moves from the left quarter of the picture to the right one."""
    return {
        "detector": "plates", "label": "plate", "text": text, "confidence": confidence, "start": start, "end": end,
        "best": start, "sightings": 2, "path": [[start, 0.0, 0.5, 0.2, 0.1], [end, 0.8, 0.5, 0.2, 0.1]],
        "crop": {"image": "crops-001.jpg", "x": crop * CROP[0], "y": 0, "width": CROP[0], "height": CROP[1]},
    }  # fmt: skip


def scenes(*starts: float, duration: float) -> list[dict[str, Any]]:
    ends = [*starts[1:], duration]
    return [
        {"detector": "scenes", "label": "scene", "text": "", "confidence": 1.0, "start": start, "end": end}
        for start, end in zip(starts, ends, strict=True)
    ]


def write_detections(
    folder: Path, detectors: Sequence[str], finds: Iterable[dict[str, Any]], duration: float = 14
) -> None:
    folder.mkdir(exist_ok=True)
    numbered = [{"id": number, **find} for number, find in enumerate(finds, 1)]
    found = {
        "version": 1, "duration": duration, "frames": {"looked_at": 70, "width": 160, "height": 90},
        "detectors": list(detectors), "finds": numbered,
    }  # fmt: skip
    (folder / "detections.json").write_text(json.dumps(found))
    (folder / "detections.vtt").write_text("WEBVTT\n")
    (folder / "detections.csv").write_text("id,detector\n")
    if any("crop" in find for find in numbered):
        sheet = f"testsrc=size={10 * CROP[0]}x{CROP[1]}"
        ffmpeg("-f", "lavfi", "-i", sheet, "-frames:v", "1", str(folder / "crops-001.jpg"))
