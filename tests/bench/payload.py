"""What is sent: one file that begins like a film, in the page cache, made unlike any other by a stamp."""

import hashlib
import mmap
import os
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import imageio_ffmpeg

STAMP_AT = 64 * 1024
STAMP_SIZE = 64
_BLOCK = 8 * 1024**2


@dataclass(frozen=True)
class Source:
    path: Path
    size: int

    @cached_property
    def head(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(STAMP_AT)

    @cached_property
    def view(self) -> memoryview:
        with self.path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), self.size, access=mmap.ACCESS_READ))


def make_source(path: Path, size: int) -> Source:
    """The first bytes of a clip that ffmpeg made, and random ones after it."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:duration=3", "-pix_fmt", "yuv420p"]
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    clip = path.with_suffix(".mp4")
    subprocess.run([ffmpeg, "-v", "error", *picture, str(clip)], check=True)
    with path.open("wb") as file:
        file.write(clip.read_bytes()[:STAMP_AT])
        while (left := size - file.tell()) > 0:
            file.write(os.urandom(min(_BLOCK, left)))
    clip.unlink()
    return Source(path, size)


@dataclass(frozen=True)
class Payload:
    """The first `size` bytes of the source, with a stamp of its own after the first 64 KB: never deduplicated."""

    source: Source
    size: int
    stamp: bytes = field(default_factory=lambda: os.urandom(STAMP_SIZE))

    def __post_init__(self) -> None:
        assert STAMP_AT + STAMP_SIZE <= self.size <= self.source.size

    @property
    def head(self) -> bytes:
        return self.source.head + self.stamp

    @property
    def rest(self) -> memoryview:
        return self.source.view[STAMP_AT + STAMP_SIZE : self.size]

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256(self.head)
        digest.update(self.rest)
        return digest.hexdigest()
