"""Reports of supervisors about their processes: small files in HOME/run, which the web server reads.

A supervisor holds a lock on a second file for as long as it runs. A report without its lock is from a supervisor that
has ended. That is also true after kill -9 and a power cut, after which its pid may belong to another process.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import structlog
from django.conf import settings

from config.processes.file_locks import open_lock, try_lock
from media_jobs.worker.process_table import Process

log = structlog.get_logger(__name__)


def _folder() -> Path:
    found: Path = settings.HOME / "run"
    return found


class Reporter:
    """Writes the report of one supervisor. If that fails, as on a full disk, the error is logged."""

    def __init__(self, name: str) -> None:
        self._report = _folder() / f"{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._lock: int | None = None

    def __enter__(self) -> "Reporter":
        try:
            _remove_dead()
            self._lock = open_lock(_lock_of(self._report))
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError:
            log.warning("process_report_not_written", exc_info=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is None:
            return
        try:
            _remove(self._report)
        except OSError:
            log.warning("process_report_not_removed", exc_info=True)
        os.close(self._lock)

    def write(self, processes: Iterable[Process]) -> None:
        unfinished = self._report.with_suffix(".new")
        try:
            unfinished.write_text(json.dumps([asdict(process) for process in processes]))
            unfinished.replace(self._report)
        except OSError:
            log.warning("process_report_not_written", exc_info=True)


def read() -> list[Process]:
    """The processes of all running supervisors of this HOME on this host."""
    return [process for report in sorted(_folder().glob("*.json")) if _is_live(report) for process in _read(report)]


def _read(report: Path) -> Iterator[Process]:
    try:
        yield from (Process(**process) for process in json.loads(report.read_text()))
    except (OSError, ValueError, TypeError):  # it was just removed, or another version of Millrace wrote it
        return


def _is_live(report: Path) -> bool:
    try:
        fd = os.open(_lock_of(report), os.O_RDONLY)
    except OSError:
        return False
    try:
        return not try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _remove_dead() -> None:
    for report in _folder().glob("*.json"):
        if not _is_live(report):
            _remove(report)


def _remove(report: Path) -> None:
    for path in (report, report.with_suffix(".new"), _lock_of(report)):
        path.unlink(missing_ok=True)


def _lock_of(report: Path) -> Path:
    return report.with_suffix(".lock")
