"""What ffmpeg's filters say of frames: the filters that write it to files, and the parser of these files."""

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ...detection.detector import FilterDetector, Marked
from .span import Span

_TIME = re.compile(r"pts_time:(-?[\d.]+)", re.ASCII)
_PRINTERS = {"video": "metadata", "audio": "ametadata"}
_at = itemgetter(0)
_Value = tuple[float, str, str]  # the time of a frame, a key, and its value


def filters_of(detectors: Sequence[FilterDetector]) -> list[str]:
    """The filters of these detectors, each followed by those that write down its marks. `direct`: at once."""
    return [
        name
        for detector in detectors
        for name in (
            *detector.filters(),
            *(
                f"{_PRINTERS[detector.media]}=mode=print:key={key}:file={file}:direct=1"
                for key, file in zip(detector.keys, mark_files(detector), strict=True)
            ),
        )
    ]


def mark_files(detector: FilterDetector) -> list[str]:
    """One for each key."""
    return [f"{detector.name}-{number}.txt" for number in range(len(detector.keys))]


def marks_in(files: Mapping[str, Path], detector: FilterDetector, span: Span) -> Iterator[Marked]:
    """The marks of a detector inside a span, in the order of time. A file that is not there has none."""
    values = heapq.merge(*(_values(files[name], span) for name in mark_files(detector) if name in files), key=_at)
    for time, found in groupby(values, key=_at):
        yield Marked(time, {key: value for _, key, value in found})


def _values(path: Path, span: Span) -> Iterator[_Value]:
    time: float | None = None
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := _TIME.search(line):
                time = float(found[1])
            elif time is not None and span.contains(time):
                key, _, value = line.rstrip("\n").partition("=")
                yield time, key, value


@dataclass(slots=True)
class GrowingFile:
    """The times of frames in a file that a running ffmpeg adds to."""

    path: Path
    _read: int = 0

    def new_times(self) -> list[float]:
        """Those that were added since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        return [float(found) for found in _TIME.findall(whole.decode("ascii", "replace"))]
