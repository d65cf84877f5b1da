"""Films with titles, tags, chapters, languages and cover art, made by the real ffmpeg."""

import re
from collections.abc import Sequence
from pathlib import Path

from .troubled_clips import ffmpeg

TAGS = {
    "title": "A film", "artist": "Somebody", "comment": "x" * 500, "date": "2024",
    "location": "+48.1000+011.5000/", "creation_time": "2024-01-02T03:04:05Z",
}  # fmt: skip
CHAPTERS = ["Opening", "Storm", "End"]  # of a second each
_SOURCES = (
    "-f lavfi -i testsrc2=s=160x90:r=25:d=3 -f lavfi -i sine=440:d=3 -f lavfi -i sine=880:d=3 "
    "-f lavfi -i color=red:s=64x64:r=1:d=1"
)
_CODECS = "-c:v:0 libx264 -preset ultrafast -pix_fmt:v:0 yuv420p -c:v:1 png -disposition:v:1 attached_pic"
_LANGUAGES = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -disposition:a:0 default+comment"


def chapters_file(path: Path, titles: Sequence[str], seconds: float, **tags: str) -> Path:
    """An input of ffmpeg with these tags, and chapters of equal length."""
    lines = [";FFMETADATA1", *(f"{name}={_escaped(value)}" for name, value in tags.items())]
    for number, title in enumerate(titles):
        start, end = (round(1000 * seconds * (number + more)) for more in (0, 1))
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={end}", f"title={_escaped(title)}"]
    path.write_text("\n".join([*lines, ""]))
    return path


def labelled(path: Path, *options: str, **tags: str) -> Path:
    """A film of three seconds with a chapter a second, two sounds, and a cover if the container can have one."""
    labels = chapters_file(path.with_suffix(".labels"), CHAPTERS, 1.0, **(TAGS | tags))
    maps = [word for stream in ("0", "1", "2", "3:v") for word in ("-map", stream)]
    titles = ("-metadata:s:a:0", "title=Original sound", "-map_metadata", "4", "-map_chapters", "4")
    ffmpeg(*_SOURCES.split(), "-i", str(labels), *maps, *_CODECS.split(), *_LANGUAGES.split(), *titles, *options,
           str(path))  # fmt: skip
    labels.unlink()
    return path


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
