"""What the processes and folders of an installation hold, every few seconds, and whether it stays the same."""

import contextlib
import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.serve_process import Serve

WARM_UP = 60.0  # seconds in which a process loads what it needs
TEMPORARY = ("run", "work", "media/partial", "broker")
GAUGES = {  # and what each counts
    "millrace_uploads_active": "uploads",
    "millrace_storage_reserved_bytes": "bytes",
    "millrace_jobs": "jobs",
}
# What may be added between the first third and the last: a share, and so much. Load is of chance, so what is open at
# the moment varies; medians of a third smooth that. All threads are there from the beginning (start_all_threads). A
# leak of 1 KB a request makes a difference of 10 MB in twenty minutes.
TOLERANCE: dict[str, tuple[float, float]] = {
    "memory, MB": (0.05, 3.0),
    "descriptors": (0.0, 8.0),
    "threads": (0.0, 3.0),
    "files": (0.10, 20.0),
    "uploads": (0.5, 10.0),
    "bytes": (0.5, 50_000_000.0),
    "jobs": (0.5, 100.0),
}


@dataclass(frozen=True)
class Sample:
    at: float  # seconds since the beginning
    subject: str  # a process, or a folder
    pid: int  # 0: none
    figure: str
    value: float


def take(serve: Serve, began: float, metrics: str) -> list[Sample]:
    at = time.monotonic() - began
    found = []
    for name, pid in {"serve": serve.pid, **serve.tree()}.items():
        with contextlib.suppress(OSError):  # it has ended since
            found += [Sample(at, name, pid, figure, value) for figure, value in _held(pid).items()]
    found += [Sample(at, folder, 0, "files", _files(serve.home / folder)) for folder in TEMPORARY]
    for gauge, figure in GAUGES.items():
        values = re.findall(rf"^{gauge}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
        if values:
            found.append(Sample(at, gauge, 0, figure, sum(map(float, values))))
    return found


def _held(pid: int) -> dict[str, float]:
    status = Path(f"/proc/{pid}/status").read_text()
    memory = re.search(r"RssAnon:\s+(\d+) kB", status)
    threads = re.search(r"Threads:\s+(\d+)", status)
    return {
        "memory, MB": int(memory[1]) / 1024 if memory else 0.0,
        "descriptors": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
        "threads": float(threads[1]) if threads else 0.0,
    }


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


@dataclass(frozen=True)
class Trend:
    subject: str
    figure: str
    seconds: float
    first: float
    last: float

    @property
    def is_flat(self) -> bool:
        share, more = TOLERANCE[self.figure]
        return self.last <= self.first * (1 + share) + more


def trends(samples: Sequence[Sample], warm_up: float = WARM_UP) -> list[Trend]:
    """Of each figure the medians of the first and the last third.

    Of a process only its longest life is judged: one that was started again has lost what it had gathered.
    """
    found = []
    for subject, figure in dict.fromkeys((sample.subject, sample.figure) for sample in samples):
        lives: dict[int, list[Sample]] = {}
        for sample in samples:
            if (sample.subject, sample.figure) == (subject, figure):
                lives.setdefault(sample.pid, []).append(sample)
        longest = max(lives.values(), key=lambda life: life[-1].at - life[0].at)
        warm = [sample for sample in longest if sample.at - longest[0].at >= warm_up]
        if third := len(warm) // 3:
            first, last = (statistics.median(each.value for each in part) for part in (warm[:third], warm[-third:]))
            found.append(Trend(subject, figure, warm[-1].at - warm[0].at, first, last))
    return found


def as_table(found: Sequence[Trend]) -> str:
    rows = [("", "", "seconds", "first third", "last third", "")]
    rows += [
        (each.subject, each.figure, f"{each.seconds:.0f}", f"{each.first:.1f}", f"{each.last:.1f}",
         "" if each.is_flat else "GROWS")
        for each in found
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
