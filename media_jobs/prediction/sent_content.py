"""What a model server is sent: the file as it is, its sound, or some of its frames; and the body of the request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Literal

from ..errors import ContentLost

Form = Literal["file", "wav", "frames"]
_BLOCK = 256 * 1024
_LOST = "The content could not be read while it was sent."


@dataclass(frozen=True, slots=True)
class SentContent:
    form: Form
    rate: float = 0.0  # samples a second of `wav`, pictures a second of `frames`

    @property
    def words(self) -> str:
        match self.form:
            case "wav":
                return f"the sound, as WAV with {self.rate:g} samples a second"
            case "frames":
                return f"JPEG pictures, {self.rate:g} a second"
        return "the whole file"


@dataclass(frozen=True)
class Body:
    """The body of a request, in constant memory: pieces of bytes and whole files, one after another."""

    content_type: str
    pieces: Sequence[bytes | Path]

    @cached_property
    def size(self) -> int:
        return sum(len(piece) if isinstance(piece, bytes) else piece.stat().st_size for piece in self.pieces)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """A block is valid until the next one."""
        buffer = memoryview(bytearray(_BLOCK))
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            with _opened(piece) as file:
                while count := _read(file, buffer):
                    yield buffer[:count]


def _opened(path: Path) -> FileIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise ContentLost(_LOST) from error


def _read(file: FileIO, buffer: memoryview) -> int:
    """An error of the disk must not be taken for one of the connection."""
    try:
        return file.readinto(buffer)
    except OSError as error:
        raise ContentLost(_LOST) from error
