"""The metrics that are counted in memory: those of this process or, if several web processes share a port, of all.

Several processes write their values into files in memory: prometheus_client's multiprocess mode. So each of them
answers the same, and a sum does not fall when one of them is killed.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

from config.processes import shared_folder

_DEAD_KEPT = 64  # processes: one that ends again and again must not fill the memory with its files
_LIVE = "gauge_livesum_{}.db"  # exists while its process does


def counted() -> list[Metric]:
    folder = shared_folder.path()
    if folder is None:
        return list(REGISTRY.collect())
    shared: Any = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    return [*shared.collect(), *_sum(ProcessCollector(pid=partial(int, pid), registry=None) for pid in pids())]


def pids() -> list[int]:
    """The live web processes of this server."""
    folder = shared_folder.path()
    if folder is None:
        return [os.getpid()]
    return sorted(int(path.stem.rpartition("_")[2]) for path in folder.glob(_LIVE.format("*")))


def forget(pid: int) -> None:
    """A web process has ended: its gauges count no more, its counters still do."""
    folder = shared_folder.path()
    if folder is None:
        return
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    live = set(pids())
    dead = [path for path in folder.glob("*_*.db") if int(path.stem.rpartition("_")[2]) not in live]
    kinds = 2  # of files: counters and histograms
    for path in sorted(dead, key=_changed_at)[: -_DEAD_KEPT * kinds]:
        path.unlink(missing_ok=True)


def _changed_at(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _sum(collectors: Iterable[ProcessCollector]) -> list[Metric]:
    """CPU time, memory and open files of all processes together; the time when the first was started."""
    found: dict[str, Metric] = {}
    for collector in collectors:
        for family in collector.collect():
            known = found.setdefault(family.name, family)
            if known is not family:
                join = min if family.name == "process_start_time_seconds" else float.__add__
                known.samples = [
                    ours._replace(value=join(float(ours.value), float(others.value)))
                    for ours, others in zip(known.samples, family.samples, strict=True)
                ]
    return list(found.values())
