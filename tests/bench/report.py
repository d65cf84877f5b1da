"""What was found, as text, as Markdown, and as JSON."""

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import promises
from .download import Download
from .jobs import Figure
from .machine import CLIENT_CORE, CORES, describe
from .memory import CrowdReport, OneUpload, in_ms
from .speed import Series


@dataclass
class Table:
    title: str
    columns: list[str]
    rows: list[list[str]]

    def text(self) -> str:
        widths = [max(len(row[number]) for row in [self.columns, *self.rows]) for number in range(len(self.columns))]
        return "\n".join([self.title, *(self._line(row, widths) for row in [self.columns, *self.rows])])

    @staticmethod
    def _line(row: list[str], widths: list[int]) -> str:
        first, *rest = zip(row, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()

    def markdown(self) -> str:
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        return "\n".join(
            [f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in [self.columns, rule, *self.rows])]
        )


@dataclass
class Results:
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    size: int = 0
    rounds: int = 0
    before: str = ""  # how busy the machine was before anything began
    speed: list[Series] = field(default_factory=list)
    memory: list[OneUpload] = field(default_factory=list)
    crowds: list[CrowdReport] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    jobs: list[Figure] = field(default_factory=list)
    lists: list[Figure] = field(default_factory=list)
    s3: list[Figure] = field(default_factory=list)
    split: list[Figure] = field(default_factory=list)
    render: list[Figure] = field(default_factory=list)
    hls: list[Figure] = field(default_factory=list)
    pictures: list[Figure] = field(default_factory=list)
    speech: list[Figure] = field(default_factory=list)
    detect: list[Figure] = field(default_factory=list)
    quality: list[Figure] = field(default_factory=list)
    search: list[Figure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def reference(self) -> float | None:
        found = [series.rate for series in self.speed if series.contender.key == "reference" and series.samples]
        return found[0] if found else None

    def every_failure(self) -> list[str]:
        speed = [f"{series.contender.key}: {series.failure}" for series in self.speed if series.failure]
        crowds = [f"{crowd.title}: {crowd.failure}" for crowd in self.crowds if crowd.failure]
        return [*self.failures, *speed, *crowds]

    def every_miss(self) -> list[str]:
        """What was promised by name and does not hold."""
        every = [*self._promises(), *self.jobs, *self.lists, *self.s3, *self.split, *self.render, *self.hls]
        every += [*self.pictures, *self.quality, *self.speech, *self.detect, *self.search]
        missed = [figure for figure in every if figure.kept is False]
        return [f"{figure.title}: {figure.found}, and {figure.promised} is promised" for figure in missed]

    def _promises(self) -> list[Figure]:
        return promises.every(self.speed, self.memory, self.crowds, self.downloads)

    def about(self) -> list[str]:
        machine = describe()
        free = ", ".join(str(core) for core in CORES)
        return [
            f"{self.started:%Y-%m-%d %H:%M} UTC, {machine['cpu']}, {machine['memory']}, Linux {machine['kernel']}",
            f"client pinned to core {CLIENT_CORE}, servers free on {free}; before it began: {self.before}",
        ]

    def tables(self) -> list[Table]:
        found = [self._speed(), self._memory(), self._crowds(), self._downloads(), self._promised()]
        found += [_figures("Jobs, embedded unless said otherwise", self.jobs), self._lists()]
        found += [_figures("Uploads into an S3 bucket (SeaweedFS on this machine)", self.s3)]
        found += [_figures("Split encodes", self.split), _figures("Renders", self.render)]
        found += [_figures("Playing at once, by HLS", self.hls)]
        found.append(_figures("Storyboards and waveforms", self.pictures))
        found += [_figures("Transcripts", self.speech), _figures("Detectors", self.detect)]
        found += [_figures("Quality by target", self.quality), _figures("Search, over HTTP", self.search)]
        return [table for table in found if table.rows]

    def _speed(self) -> Table:
        title = f"One upload of {self.size / 1024**2:.0f} MiB, median of {self.rounds} interleaved rounds"
        columns = ["", "GB/s", "× reference", "from–to", "server CPU s/GB, user + system"]
        columns += [f"core {core} busy" for core in CORES] + ["others", "iowait"]
        return Table(title, columns, [self._speed_row(series, len(columns)) for series in self.speed])

    def _speed_row(self, series: Series, columns: int) -> list[str]:
        title = series.contender.title
        if series.left_out or series.failure:
            words = [f"left out: {series.left_out}" if series.left_out else "FAILED"]
            return [title, *words, *[""] * (columns - 2)]
        rates = [sample.rate / 1e9 for sample in series.samples]
        user = series.median(lambda sample: sample.server.user / sample.size * 1e9)
        system = series.median(lambda sample: sample.server.system / sample.size * 1e9)
        cores = [f"{_median_busy(series, core):.0%}" for core in CORES]
        others = [f"{series.median(lambda s: s.others):.0%}", f"{series.median(lambda s: s.iowait):.0%}"]
        ratio = f"{series.rate / self.reference:.2f}" if self.reference else "–"
        span = f"{min(rates):.2f}–{max(rates):.2f}"
        return [title, f"{series.rate / 1e9:.2f}", ratio, span, f"{user:.2f} + {system:.2f}", *cores, *others]

    def _memory(self) -> Table:
        columns = ["", "idle MB", "peak MB", "over idle MB", "second upload, over idle MB"]
        rows = [
            [
                f"{'raw PUT' if one.key == 'ours-raw' else 'form'} of {one.size / 1024**3:.2g} GiB",
                *(f"{value / 1e6:.1f}" for value in (one.idle, one.peak, one.over_idle, one.again - one.idle)),
            ]
            for one in self.memory
        ]
        return Table("Memory (RssAnon) of a fresh server over one upload", columns, rows)

    def _crowds(self) -> Table:
        columns = ["", "succeeded", "KB each, peak", "KB each, trickling", "idle ping p95 ms"]
        columns += ["during the burst", "while all trickle", "burst s, half–all"]
        rows = [
            [
                one.title, str(one.succeeded), f"{one.per_client / 1000:.0f}",
                f"{(one.trickling - one.idle) / one.clients / 1000:.0f}",
                *map(in_ms, (one.ping_idle, one.ping_burst, one.ping_trickling)),
                f"{one.burst_half:.1f}–{one.burst_seconds:.1f}",
            ]
            for one in self.crowds
        ]  # fmt: skip
        return Table("Clients that each send 4 MB in turns, or 6 MB all at once, then trickle", columns, rows)

    def _downloads(self) -> Table:
        best = [one for one in self.downloads if one.rates]
        base = next((one.rate for one in best if one.title == "nginx"), None)
        rows = []
        for one in self.downloads:
            ratio = f"{one.rate / base:.2f}" if one.rates and base else "–"
            rows.append([one.title, f"{one.rate / 1e9:.2f}" if one.rates else f"left out: {one.left_out}", ratio])
        return Table(f"One download of {self.size / 1024**2:.0f} MiB", ["", "GB/s", "× nginx"], rows)

    def _promised(self) -> Table:
        columns = ["", "found", "promised", ""]
        return Table("What is promised of these", columns, [one.row()[:-1] for one in self._promises()])

    def _lists(self) -> Table:
        columns = ["", "p50 / p95", "promised", "", "beside it"]
        return Table("The admin's lists of a million rows, over HTTP", columns, [one.row() for one in self.lists])

    def text(self) -> str:
        return "\n\n".join(["\n".join(self.about()), *(table.text() for table in self.tables())])

    def markdown(self) -> str:
        return "\n\n".join(["\n".join(self.about()), *(table.markdown() for table in self.tables())])

    def json(self) -> str:
        plain: dict[str, Any] = asdict(self) | {"about": self.about(), "machine": describe()}
        for series in plain["speed"]:
            series["contender"] = series["contender"]["key"]
        plain["failures"], plain["missed"] = self.every_failure(), self.every_miss()
        return json.dumps(plain, indent=1, default=str)


def _figures(title: str, figures: list[Figure]) -> Table:
    return Table(title, ["", "found", "promised", "", "beside it"], [one.row() for one in figures])


def _median_busy(series: Series, core: int) -> float:
    return series.median(lambda sample: sample.busy[core])


def write_json(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results.json() + os.linesep)
