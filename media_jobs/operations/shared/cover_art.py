"""Cover art for outputs whose muxer takes no picture from another file: Matroska attaches a file, Opus has a tag.

The picture is taken out of the source first. If that fails, or if it is very large, the output has none.
"""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BadMedia, ToolFailed
from ...ffmpeg.command import Command, Source, Target
from ...ffmpeg.probing.media_facts import VideoStream
from ..base import Work

MAX_SIZE = 10_000_000  # bytes
_TYPES = {"mjpeg": "image/jpeg", "png": "image/png"}
_FRONT = 3  # the kind of picture, in ID3 and FLAC
_BITS = 24  # of a pixel


@dataclass(frozen=True, slots=True)
class CoverFile:
    path: Path
    stream: VideoStream

    @property
    def attachment(self) -> tuple[str, ...]:
        """Options of a Matroska target."""
        media_type = _TYPES[self.stream.codec]
        name = f"cover.{media_type.removeprefix('image/')}"
        tags = ("-metadata:s:t:0", f"mimetype={media_type}", "-metadata:s:t:0", f"filename={name}")
        return ("-attach", f"file:{self.path.absolute()}", *tags)

    def tag_source(self) -> Source:
        """A source that has it as a tag, for an Opus target: the picture block of FLAC, as text."""
        block = base64.b64encode(self._block()).decode().replace("=", r"\=")
        path = self.path.with_suffix(".tags")
        path.write_text(f";FFMETADATA1\nMETADATA_BLOCK_PICTURE={block}\n")
        return Source(path, "ffmetadata")

    def _block(self) -> bytes:
        media_type, content = _TYPES[self.stream.codec].encode(), self.path.read_bytes()
        size = (self.stream.coded_width, self.stream.coded_height, _BITS, 0)
        head = struct.pack(">2I", _FRONT, len(media_type)) + media_type + struct.pack(">I", 0)
        return head + struct.pack(">5I", *size, len(content)) + content


def extract_cover(work: Work[Any], cover: VideoStream | None) -> CoverFile | None:
    """The cover as a file; None if there is none that can be used."""
    if cover is None:
        return None
    path = work.folder / "cover"
    target = Target(path, ("-map", f"0:{cover.index}", "-c", "copy", "-frames:v", "1", "-f", "image2pipe"))
    source = Source(work.main.path, work.main.facts.format)
    try:
        work.tools.ffmpeg(Command([source], [target], threads=work.threads), share=(0.0, 0.0), verb="Read")
    except (BadMedia, ToolFailed):
        return None
    is_usable = path.exists() and 0 < path.stat().st_size <= MAX_SIZE
    return CoverFile(path, cover) if is_usable else None
