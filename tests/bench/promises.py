"""What is promised of uploads, crowds and downloads, and whether it holds in what was measured."""

from collections.abc import Iterable, Iterator
from itertools import chain

from .download import Download
from .jobs import Figure
from .memory import CrowdReport, OneUpload
from .speed import Series

# Who must be how many times as fast as whom.
_RATIOS = (
    ("ours-raw", "reference", 1.2),
    ("ours-form", "reference", 1.0),
    ("ours-raw", "fastapi-1m", 2.5),
    ("ours-raw", "fastapi-64k", 2.5),
    ("ours-raw", "django", 1.5),
    ("ours-raw", "tus", 1.0),
    ("ours-tus", "ours-raw", 0.95),
    ("ours-tus-5m", "ours-raw", 0.7),
)
_OF_NGINX = 0.9
_MB_OVER_IDLE, _KB_EACH = 6.0, 300.0
_PING_MS, _TIMES_IDLE = 20.0, 10.0
_PING_MS_AT_ONCE = 30.0


def every(
    speed: Iterable[Series], memory: Iterable[OneUpload], crowds: Iterable[CrowdReport], downloads: Iterable[Download]
) -> list[Figure]:
    return [*_of_speed(speed), *_of_memory(memory), *chain(*map(_of_crowd, crowds)), *_of_downloads(downloads)]


def _least(title: str, found: float, promised: float, unit: str) -> Figure:
    return Figure(title, f"{found:.2f}{unit}", f"≥ {promised}{unit}", found >= promised)


def _most(title: str, found: float, promised: float, unit: str) -> Figure:
    return Figure(title, f"{found:.1f}{unit}", f"≤ {promised:g}{unit}", found <= promised)


def _of_speed(speed: Iterable[Series]) -> Iterator[Figure]:
    measured = {series.contender.key: series for series in speed if series.samples and not series.failure}
    for who, whom, promised in _RATIOS:
        if who in measured and whom in measured:
            one, other = measured[who], measured[whom]
            title = f"{one.contender.title}, beside {other.contender.title}"
            yield _least(title, one.rate / other.rate, promised, " ×")


def _of_memory(memory: Iterable[OneUpload]) -> Iterator[Figure]:
    for one in memory:
        yield _most(f"Memory over idle, {one.key}", one.over_idle / 1e6, _MB_OVER_IDLE, " MB")


def _of_crowd(crowd: CrowdReport) -> Iterator[Figure]:
    if crowd.failure:
        return
    who = crowd.title
    if crowd.clients >= 500:  # what a server has anyway counts for more with few
        yield _most(f"Memory of each of {who}", crowd.per_client / 1000, _KB_EACH, " KB")
    if crowd.at_once and crowd.ping_burst is not None:
        yield _most(f"A ping while {who}, send", crowd.ping_burst * 1000, _PING_MS_AT_ONCE, " ms")
    if crowd.ping_idle is not None and crowd.ping_trickling is not None:
        ms, times = crowd.ping_trickling * 1000, crowd.ping_trickling / crowd.ping_idle
        yield _most(f"A ping beside {who}", ms, _PING_MS, " ms")
        yield _most(f"A ping beside {who}", times, _TIMES_IDLE, " × idle")


def _of_downloads(downloads: Iterable[Download]) -> Iterator[Figure]:
    rates = {one.title: one.rate for one in downloads if one.rates}
    if {"Millrace", "nginx"} <= set(rates):
        yield _least("A download, beside nginx", rates["Millrace"] / rates["nginx"], _OF_NGINX, " ×")
