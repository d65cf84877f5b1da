"""Films to upload: long ones in files, and copies that differ from each other."""

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.repetitions import MORE

LONG = 100_000_000 * MORE  # bytes: a quarter is more than all buffers on the way to a server hold
UNDISTURBED = 24_000_000 * MORE  # bytes, where nothing happens to an upload on its way


@dataclass(frozen=True)
class LongFilm:
    path: Path
    size: int
    sha256: str


class FilmShelf:
    """Long films on the disk. Each film that is taken has a new end, so that no two are equal."""

    _END = 64

    def __init__(self, folder: Path, beginning: bytes) -> None:
        self._folder, self._beginning = folder, beginning
        self._hashed: dict[Path, Any] = {}

    def take(self, number: int, size: int = LONG) -> LongFilm:
        path = self._folder / f"film-{number}-{size}.mp4"
        if path not in self._hashed:
            self._hashed[path] = self._write(path, size - self._END)
        end = os.urandom(self._END)
        with path.open("r+b") as file:
            file.seek(-self._END, os.SEEK_END)
            file.write(end)
        digest = self._hashed[path].copy()
        digest.update(end)
        return LongFilm(path, size, digest.hexdigest())

    def _write(self, path: Path, size: int) -> Any:
        """Repeat one block with a counter in it: that is fast."""
        digest, block, left = hashlib.sha256(), self._beginning + os.urandom(1024 * 1024), size
        with path.open("wb") as file:
            while left:
                block = block[:left]
                digest.update(block)
                left -= file.write(block)
                block = left.to_bytes(8, "big") + block[8:]
            file.write(bytes(self._END))
        return digest


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def different_copy(clip: bytes) -> bytes:
    """The same film with other bytes at its end: a box that players skip. No two copies are equal."""
    text = uuid.uuid4().bytes
    return clip + (8 + len(text)).to_bytes(4, "big") + b"free" + text
