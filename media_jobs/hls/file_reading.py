"""Read ranges of a file on the disk, as the readers of boxes ask for them, and copy ranges."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .movie import Read

_PIECE = 1024**2


@contextmanager
def reading(path: Path) -> Iterator[tuple[Read, int]]:
    """A function that reads ranges of the file, and the size of the file."""
    number = os.open(path, os.O_RDONLY)
    try:
        yield lambda start, size: os.pread(number, size, start), os.fstat(number).st_size
    finally:
        os.close(number)


def copy_range(source: Path, start: int, end: int, target: BinaryIO) -> int:
    """Append a range of a file to another file. Returns how many bytes were copied."""
    with source.open("rb") as file:
        file.seek(start)
        left = end - start
        while left and (piece := file.read(min(left, _PIECE))):
            target.write(piece)
            left -= len(piece)
    return end - start - left
