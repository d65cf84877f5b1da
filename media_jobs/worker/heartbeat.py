"""Between the beat, which renews the lease, and the thread that works: reports one way, an end the other."""

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
# How long a phase may take at most: so much, and what its bytes need on a slow disk. What may hang beyond that is not
# ffmpeg, which is watched, but a system call in our own thread, which nobody can stop.
_PATIENCE = 600.0
_SLOWEST = 2e6  # bytes a second


class Pulse:
    def __init__(self, lease: Lease, slot: Slot) -> None:
        self._lease, self._slot = lease, slot
        self._phase, self._report = Job.Phase.FETCHING, Report("Starting")
        self._renewed = self._reported = time.monotonic()
        self._deadline = self._renewed + _PATIENCE
        self._verdict: Interruption | None = None
        self._ran: dict[str, str] = {}
        self._written: dict[str, str] = {}

    def renew(self) -> None:
        """The beat's. A database that does not answer is asked again at the next one."""
        with on_behalf_of(self._lease.job.request_id):
            self._renew_or_end()

    def _renew_or_end(self) -> None:
        asked, ran = time.monotonic(), self._ran
        if asked > self._deadline:
            self._end_process()
        news = {name: said for name, said in ran.items() if self._written.get(name) != said}
        try:
            if self._renew(self._said(asked), news):
                self._verdict = Cancelled()
            self._written = ran
            self._renewed = asked
        except LeaseLost as lost:
            self._verdict = lost
        except DatabaseFailure:
            log.warning("lease_not_renewed", job=str(self._lease.job.pk), exc_info=True)
            close_old_connections()

    def _renew(self, report: Report, news: dict[str, str]) -> bool:
        try:
            return leases.renew(self._lease, self._phase, report, **news)
        except (LeaseLost, OperationalError, InterfaceError):
            raise
        except Exception:
            # What is reported cannot be written. The lease does not depend on that.
            log.exception("report_not_written", job=str(self._lease.job.pk))
            return leases.renew(self._lease, self._phase, Report("Working", self._report.progress))

    def check(self) -> None:
        """Raise what ends the work. Whoever cannot renew for half the lease must take it for lost."""
        if self._verdict is not None:
            raise self._verdict
        if self._slot.is_stopping:
            raise Released
        if time.monotonic() - self._renewed > jobs().lease / 2:
            raise LeaseLost

    def enter(self, phase: Job.Phase, message: str, size: int = 0) -> None:
        """From now on it does this, with so many bytes."""
        self.check()
        self._phase, self._report = phase, Report(message, self._report.progress)
        self._reported = time.monotonic()
        allowed = jobs().timeout if phase == Job.Phase.WORKING else size / _SLOWEST
        self._deadline = self._reported + _PATIENCE + allowed
        self._slot.nudge()

    def tell(self, ran: dict[str, str]) -> None:
        """What was run so far and what it said: whoever watches reads it while it runs."""
        self._ran = ran

    def report(self, report: Report) -> None:
        before = self._report.progress or 0.0
        self._report = Report(report.message, max(before, report.progress or 0.0), report.speed, report.eta_seconds)
        self._reported = time.monotonic()

    def _said(self, now: float) -> Report:
        """The last report; and where it is an old one, for how long there has been none."""
        report, silent = self._report, now - self._reported
        return Report(f"{report.message} ({silent:.0f} s so far)", report.progress) if silent > SILENCE else report

    def _end_process(self) -> None:
        """Our thread hangs where it hears of nothing: the lease is to expire, and another process is to try."""
        end_process("attempt_hangs", job=str(self._lease.job.pk), phase=self._phase)
