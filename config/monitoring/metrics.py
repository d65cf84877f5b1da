"""/metrics, for Prometheus. See deploy/prometheus/ and docs/operations.md.

Events in the web processes are counted in the modules where they happen (process_metrics). This module adds what
other processes know, at each scrape: from the database and from HOME/run.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.monitoring import (
    process_metrics,
    request_metrics,  # noqa: F401  # registers its metrics before the first request
)
from config.snapshots import newest_snapshot
from media_jobs.queue import job_metrics
from media_jobs.queue.lanes import loads
from media_jobs.worker.process_table import processes
from uploads.conf import limits
from uploads.maintenance.store_health import quarantine_of
from uploads.monitoring import chore_records
from uploads.monitoring.counters import IN_MEMORY, stored_families
from uploads.sinks.base import SinkError
from uploads.storage.stores import sink, sinks
from uploads.transfers import upload_counters as of_uploads
from uploads.transfers.disk_space import floor, reserved_bytes

_PAGE = os.sysconf("SC_PAGE_SIZE")


def _gauge(name: str, help: str, value: float | None) -> Iterator[Metric]:
    if value is not None:
        yield GaugeMetricFamily(name, help, value=value)


def _lanes() -> Iterator[Metric]:
    jobs = GaugeMetricFamily("millrace_jobs", "Unfinished jobs.", labels=["lane", "status"])
    wait = GaugeMetricFamily("millrace_job_oldest_wait_seconds", "Age of the oldest waiting job.", labels=["lane"])
    workers = GaugeMetricFamily("millrace_workers", "Live workers.", labels=["lane"])
    for lane, load in loads().items():
        jobs.add_metric([lane, "queued"], load.queued)
        jobs.add_metric([lane, "running"], load.running)
        wait.add_metric([lane], load.oldest_wait)
        workers.add_metric([lane], load.workers)
    yield from (jobs, wait, workers)


def _restarts() -> Iterator[Metric]:
    """Restarts of the processes that supervisors on this host keep running."""
    restarts: Counter[str] = Counter()
    for process in processes():
        restarts[process.name] += process.restarts
    family = CounterMetricFamily(
        "millrace_process_restarts", "Restarts of a child process by its supervisor.", labels=["name"]
    )
    for name, number in restarts.items():
        family.add_metric([name], number)
    yield family


def _storage() -> Iterator[Metric]:
    storage = sink()
    yield from _gauge("millrace_storage_free_bytes", "Free disk space of the storage.", storage.free())
    yield from _gauge(
        "millrace_storage_floor_bytes", "Disk space that uploads and jobs do not use (MILLRACE_MIN_FREE).", floor()
    )
    yield from _gauge(
        "millrace_storage_warning_bytes",
        "With less free space than this the disk is nearly full (MILLRACE_WARN_FREE).",
        limits().warn_free,
    )
    totals = [found for found in map(quarantine_of, sinks()) if found is not None]
    yield from _gauge("millrace_quarantine_objects", "Objects in quarantine.", sum(number for number, _ in totals))
    yield from _gauge("millrace_quarantine_bytes", "Bytes in quarantine.", sum(size for _, size in totals))


def _reserved() -> Iterator[Metric]:
    help = "Disk space promised to uploads and not written yet."
    yield from _gauge("millrace_storage_reserved_bytes", help, reserved_bytes(sink()))


def _chores() -> Iterator[Metric]:
    runs = CounterMetricFamily(
        "millrace_chore_runs", "Runs of the chores of housekeeping.", labels=["chore", "result"]
    )
    name = "millrace_chore_last_success_timestamp_seconds"
    last = GaugeMetricFamily(name, "Time of the chore's last success.", labels=["chore"])
    failing = GaugeMetricFamily(
        "millrace_chore_failing", "1 if the last run of this chore failed, else 0.", labels=["chore"]
    )
    for name, chore in chore_records.totals().items():
        runs.add_metric([name, "done"], chore.done)
        runs.add_metric([name, "failed"], chore.failed)
        failing.add_metric([name], chore.is_failing)
        if chore.succeeded_at is not None:
            last.add_metric([name], chore.succeeded_at.timestamp())
    yield from (runs, last, failing)


def _backup() -> Iterator[Metric]:
    """0 if there is no snapshot, so that the alert on its age fires."""
    if settings.SNAPSHOTS_KEPT:
        newest = newest_snapshot()
        help = "Time of the newest nightly snapshot of the database."
        value = newest.timestamp() if newest else 0
        yield from _gauge("millrace_backup_last_success_timestamp_seconds", help, value)


class _Memory:
    """Memory of the web processes per upload: what they use more than while no upload was active."""

    def __init__(self) -> None:
        self._idle = 0

    def families(self, active: float) -> Iterator[Metric]:
        resident = sum(_resident(pid) for pid in process_metrics.pids())
        if not resident:
            return
        if not active or not self._idle:
            self._idle = resident
        each = max(0, resident - self._idle) / active if active else 0
        yield from _gauge("millrace_upload_memory_bytes", "Memory of this server per active upload.", each)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:  # not Linux, or the process has just ended
        return 0


def _limit() -> Iterator[Metric]:
    help = "How many uploads this server can receive at once (MILLRACE_THREADS)."
    yield from _gauge("millrace_uploads_active_limit", help, settings.THREADS * settings.WEB_PROCESSES)


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter
_memory = _Memory()
_ON_SCRAPE = (_limit, _lanes, _restarts, _storage, _reserved, _chores, _backup)


class _Everything(Collector):
    def collect(self) -> Iterator[Metric]:
        counted = {family.name: family for family in process_metrics.counted()}
        active = sum(sample.value for sample in counted["millrace_uploads_active"].samples)
        yield from _tried(lambda: stored_families(_STORED, counted))
        yield from _memory.families(active)
        for collect in _ON_SCRAPE:
            yield from _tried(collect)
        yield from (family for name, family in counted.items() if not name.endswith(IN_MEMORY))

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _tried(collect: Callable[[], Iterator[Metric]]) -> Iterator[Metric]:
    """Metrics that cannot be collected are left out, and the others stay."""
    try:
        yield from collect()
    except (DatabaseFailure, SinkError, OSError):
        return


_STORED = [*of_uploads.STORED, *job_metrics.METRICS]
_exposed = CollectorRegistry()
_exposed.register(_Everything())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(_exposed), content_type=CONTENT_TYPE_LATEST)
