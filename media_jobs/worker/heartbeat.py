"""The heartbeat of an attempt: it renews the lease, writes the progress, and tells the attempt when to stop.

The slot's thread calls `renew` once a second. The thread of the attempt reports its progress, and calls `check`.
"""

import time

import structlog
from django.db import Error as DatabaseFailure
from django.db import InterfaceError, OperationalError, close_old_connections

from uploads.runtime.essential_threads import end_process
from uploads.runtime.request_context import on_behalf_of

from ..conf import jobs
from ..errors import Cancelled, Interruption, LeaseLost, Released
from ..ffmpeg.progress import SILENCE, Report
from ..models import Job
from ..queue import leases
from ..queue.leases import Lease
from .slot import Slot

log = structlog.get_logger(__name__)
# A phase may take this long, and the time that its bytes need on a slow disk. ffmpeg is watched, so what may hang for
# longer is a system call in our own thread, which cannot be stopped.
_PHASE_TIMEOUT = 600.0
_SLOWEST_DISK = 2e6  # bytes a second


class Heartbeat:
    def __init__(self, lease: Lease, slot: Slot) -> None:
        self._lease, self._slot = lease, slot
        self._phase, self._report = Job.Phase.FETCHING, Report("Starting")
        self._renewed_at = self._reported_at = time.monotonic()
        self._deadline = self._renewed_at + _PHASE_TIMEOUT
        self._interruption: Interruption | None = None
        self._ran: dict[str, str] = {}
        self._written: dict[str, str] = {}

    # Called by the slot's thread

    def renew(self) -> None:
        with on_behalf_of(self._lease.job.request_id):
            self._renew()

    def _renew(self) -> None:
        """After a database error the next heartbeat tries again."""
        now, ran = time.monotonic(), self._ran
        if now > self._deadline:
            # The attempt's thread hangs, and calls no `check`. The lease is to expire, and another process to try.
            end_process("attempt_hangs", job=str(self._lease.job.pk), phase=self._phase)
        changed = {name: text for name, text in ran.items() if self._written.get(name) != text}
        try:
            if self._write(self._current_report(now), changed):
                self._interruption = Cancelled()
            self._written = ran
            self._renewed_at = now
        except LeaseLost as lost:
            self._interruption = lost
        except DatabaseFailure:
            log.warning("lease_not_renewed", job=str(self._lease.job.pk), exc_info=True)
            close_old_connections()

    def _write(self, report: Report, changed: dict[str, str]) -> bool:
        try:
            return leases.renew(self._lease, self._phase, report, **changed)
        except (LeaseLost, OperationalError, InterfaceError):
            raise
        except Exception:
            # The report cannot be written. Renew the lease without it.
            log.exception("report_not_written", job=str(self._lease.job.pk))
            return leases.renew(self._lease, self._phase, Report("Working", self._report.progress))

    def _current_report(self, now: float) -> Report:
        """The last report; if it is old, with the time for which there has been no other."""
        report, silent = self._report, now - self._reported_at
        return Report(f"{report.message} ({silent:.0f} s so far)", report.progress) if silent > SILENCE else report

    # Called by the attempt's thread

    def check(self) -> None:
        """Raise an Interruption if the work must stop. A lease not renewed for half its time counts as lost."""
        if self._interruption is not None:
            raise self._interruption
        if self._slot.is_stopping:
            raise Released
        if time.monotonic() - self._renewed_at > jobs().lease / 2:
            raise LeaseLost

    def enter(self, phase: Job.Phase, message: str, size: int = 0) -> None:
        """Begin a phase that handles `size` bytes."""
        self.check()
        self._phase, self._report = phase, Report(message, self._report.progress)
        self._reported_at = time.monotonic()
        allowed = jobs().timeout if phase == Job.Phase.WORKING else size / _SLOWEST_DISK
        self._deadline = self._reported_at + _PHASE_TIMEOUT + allowed
        self._slot.beat_now()

    def show(self, ran: dict[str, str]) -> None:
        """Write these commands and their log with the next heartbeat, for people who watch the job."""
        self._ran = ran

    def report(self, report: Report) -> None:
        before = self._report.progress or 0.0
        self._report = Report(report.message, max(before, report.progress or 0.0), report.speed, report.eta_seconds)
        self._reported_at = time.monotonic()
