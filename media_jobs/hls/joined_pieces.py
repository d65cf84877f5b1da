"""Join pictures that were encoded in pieces, byte by byte, into one fragmented MP4 for ffmpeg to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from .decoding_times import of_whole
from .file_reading import copy_range, reading
from .fragmented_file import Fragment, read_fragments, read_init
from .fragments import fragment_head
from .packaged import read_timescale


@dataclass(frozen=True, slots=True)
class Joined:
    delay: Fraction  # seconds by which all times are too late: a file cannot have any before 0
    frames: int


@dataclass(frozen=True, slots=True)
class PieceSummary:
    begin: Fraction  # seconds; when its first frame is presented
    frames: int


def summarize_piece(path: Path) -> PieceSummary:
    """Raises Unsuitable if it has no frames."""
    init, fragments = _read(path)
    begin = min(each.begin for each in fragments)
    return PieceSummary(Fraction(begin, read_timescale(init)), sum(len(each.size) for each in fragments))


def join_pieces(pieces: Sequence[Path], target: Path) -> Joined:
    """Write the init segment of the first piece and the fragments of all."""
    read = [_read(path) for path in pieces]
    found = [(path, fragment) for path, (_, each) in zip(pieces, read, strict=True) for fragment in each]
    decoded = of_whole(np.concatenate([fragment.presented for _, fragment in found]))
    duration = np.diff(np.append(decoded, decoded[-1] + 1))
    delay, at = max(0, -int(decoded[0])), 0
    with target.open("wb") as joined:
        joined.write(read[0][0])
        for number, (path, fragment) in enumerate(found):
            samples = slice(at, at := at + len(fragment.size))
            joined.write(fragment_head(
                number + 1, int(decoded[samples.start]) + delay, duration[samples], fragment.size, fragment.is_key,
                fragment.presented - decoded[samples],
            ))  # fmt: skip
            copy_range(path, fragment.data, fragment.data_end, joined)
    return Joined(Fraction(delay, read_timescale(read[0][0])), at)


def _read(path: Path) -> tuple[bytes, list[Fragment]]:
    with reading(path) as (read, size):
        return read_init(read, size), list(read_fragments(read, size))
