"""Writes a transcript as JSON. docs/transcripts.md describes it; `version` changes when a reader must."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...understanding.speech import RATE
from .cues import Cue
from .listening import Listener

VERSION = 1


def write_json(path: Path, model: str, listener: Listener, cues: Sequence[Cue]) -> None:
    """Cue by cue: the whole as one object in memory would take many times its size."""
    head = {
        "version": VERSION,
        "model": model,
        "language": listener.language,
        "language_probability": listener.probability,
        "duration": round(listener.heard / RATE, 3),
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "cues": [')
        for number, cue in enumerate(cues):
            file.write(("," if number else "") + "\n" + json.dumps(_cue(cue), ensure_ascii=False))
        file.write("\n]}\n")


def _cue(cue: Cue) -> dict[str, Any]:
    words = [
        {
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "text": word.text,
            "probability": word.probability,
        }
        for word in cue.words
    ]
    return {"start": round(cue.start, 3), "end": round(cue.end, 3), "text": cue.text, "words": words}
