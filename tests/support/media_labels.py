"""Titles, tags and chapters for ffmpeg, in its own format of text."""

import re
from collections.abc import Sequence
from pathlib import Path


def chapters_file(path: Path, titles: Sequence[str], seconds: float, **tags: str) -> Path:
    """An input of ffmpeg with these tags, and chapters of equal length."""
    lines = [";FFMETADATA1", *(f"{name}={_escaped(value)}" for name, value in tags.items())]
    for number, title in enumerate(titles):
        start, end = (round(1000 * seconds * (number + more)) for more in (0, 1))
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={end}", f"title={_escaped(title)}"]
    path.write_text("\n".join([*lines, ""]))
    return path


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
