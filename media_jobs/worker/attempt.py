"""One attempt at a job: fetch, work, verify, store, finish. Or stop, and leave nothing behind.

The thread that runs this starts, watches and kills ffmpeg; no other does. The slot's beat renews the lease beside it
and brings word when the work must stop; `Pulse.check` is where this thread hears it, several times a second.
"""

import errno
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections

from uploads.conf import sink
from uploads.errors import InsufficientStorage, StorageUnavailable
from uploads.models import Blob, MediaFile
from uploads.runtime.request_context import on_behalf_of
from uploads.sinks.base import SinkError, SinkFull
from uploads.storage.blobs import discard, local_path
from uploads.transfers.disk_space import FloorWatch, check_free
from uploads.transfers.made_files import deposit

from .. import operations
from ..conf import jobs
from ..errors import (
    Cancelled,
    ContentLost,
    Failure,
    Internal,
    Interruption,
    LeaseLost,
    NoRoom,
    QuotaReached,
    Released,
)
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.toolbox import Toolbox
from ..ffmpeg.work_folder import work_folder
from ..models import Job, Worker
from ..operations.base import Input, Outcome, Output, Work
from ..queue import leases, results
from ..queue.leases import Lease
from ..queue.notify import wake
from ..queue.results import StoredOutput
from .heartbeat import Pulse
from .slot import BEAT, Slot, equipment

log = structlog.get_logger(__name__)
_AGAIN = 0.5


def work(slot: Slot) -> int:
    """Run jobs of the slot's lane until there is none, or the slot is to stop. Answers how many."""
    done = 0
    while not slot.is_stopping and (lease := _next(slot)):
        slot.become(Worker.State.BUSY)
        if leases.claimable(slot.lane).exists():
            wake(slot.lane)
        run(lease, slot)
        done += 1
    return done


def _next(slot: Slot) -> Lease | None:
    if not _may_begin(slot):
        return None
    lease = leases.claim(slot.worker)
    if lease is not None or slot.worker.state == Worker.State.IDLE:
        return lease
    # Who submitted a moment ago saw us busy and woke nobody: we look once more now that we are seen to be idle.
    slot.become(Worker.State.IDLE)
    return leases.claim(slot.worker)


def _may_begin(slot: Slot) -> bool:
    """Whether all is there that a job needs. What workers lost is taken back: housekeeping may be lost, too.

    Once a second is enough: both take longer than a claim.
    """
    if time.monotonic() - slot.looked < BEAT:
        return True
    leases.reap(lambda: time.sleep(2 * BEAT))
    if lacking := leases.lacking():
        log.warning("no_job_begun", waits_for=lacking)
        return False
    slot.looked = time.monotonic()
    return True


class Attempt:
    def __init__(self, lease: Lease, pulse: Pulse, folder: Path) -> None:
        self._lease, self._job, self._pulse, self._folder = lease, lease.job, pulse, folder
        self._tools = Toolbox(
            binary=equipment().binary, sandbox=equipment().sandbox, folder=folder, threads=jobs().threads,
            check=self._check, on_report=pulse.report, stall_timeout=jobs().stall_timeout, timeout=jobs().timeout,
        )  # fmt: skip
        self._told = time.monotonic()
        self._floor = FloorWatch(sink(), folder)

    def _check(self) -> None:
        self._pulse.check()
        if time.monotonic() - self._told > BEAT:
            self._told = time.monotonic()
            self._pulse.tell(self.ran)
            self._floor.check()  # jobs that run side by side could fill the disk together

    @property
    def ran(self) -> dict[str, str]:
        """What is written down of it, however it ends."""
        commands = "\n".join(map(shlex.join, self._tools.commands))
        return {"command": commands, "log": self._tools.log, "build": equipment().binary.build}

    def carry_out(self) -> tuple[Outcome, list[StoredOutput]]:
        job, operation = self._job, operations.get(self._job.operation)
        self._pulse.enter(Job.Phase.FETCHING, "Fetching")
        self._tools.room = check_free(sink(), 1)
        # Looked up here, not when it was claimed: a claim is as short as can be.
        job.file = MediaFile.objects.select_related("blob").filter(jobs=job).first()
        files = [job.file, *(item.file for item in job.inputs.select_related("file__blob").order_by("number"))]
        main, *others = [self._fetch(number, file) for number, file in enumerate(files)]
        self._pulse.enter(Job.Phase.WORKING, "Working")
        params = operation.parameters.model_validate(job.params)
        outcome = operation.run(Work(params, main, others, self._folder, self._tools, jobs().threads))
        size = sum(output.path.stat().st_size for output in outcome.outputs if output.path.exists())
        self._pulse.enter(Job.Phase.VERIFYING, "Verifying", size)
        found = [self._tools.verify(output.path, output.expected) for output in outcome.outputs]
        self._pulse.enter(Job.Phase.STORING, "Storing", size)
        return outcome, self._store(outcome.outputs, found)

    def _fetch(self, number: int, file: MediaFile | None) -> Input:
        if file is None:
            raise ContentLost("A file that this job needs was deleted.")
        path = local_path(file.blob)
        if path is None or file.blob.state != Blob.State.STORED or not path.exists():
            raise ContentLost(f"The bytes of {file.name} cannot be found. Ask your administrator.")
        # A name of ours, in the folder of ours: what people see of the command is theirs to repeat.
        link = self._folder / f"input{number}"
        link.symlink_to(path)
        facts = Facts.model_validate(file.blob.facts) if file.blob.facts else self._tools.probe(link)
        return Input(link, file.name, file.blob.kind, facts)

    def _store(self, outputs: Sequence[Output], found: Sequence[Facts]) -> list[StoredOutput]:
        # It is decided when it ends. But nobody need wait for gigabytes to be stored that will not be kept.
        failure = results.quota_failure(self._job, sum(output.path.stat().st_size for output in outputs))
        if failure and not results.success_without_outputs(self._job, failure):
            raise failure
        leases.reserve_keys(self._lease, len(outputs))
        kept = []
        try:
            for number, (output, facts) in enumerate(zip(outputs, found, strict=True)):
                key = self._lease.key(number)
                content = deposit(output.path, key, output.kind, output.media_type, lambda _: self._check())
                kept.append(StoredOutput(output.name, key, content, facts.model_dump(mode="json")))
        except BaseException:
            _discard(self._lease, len(outputs))
            raise
        return kept


def run(lease: Lease, slot: Slot) -> None:
    """Run a job that was claimed, to whatever end. Its lines have the id of the request that asked for it."""
    with on_behalf_of(lease.job.request_id):
        _run(lease, slot)


def _run(lease: Lease, slot: Slot) -> None:
    pulse = Pulse(lease, slot)
    slot.hold(pulse.renew)
    started = time.monotonic()
    try:
        _insist(_attempt(lease, pulse))
    except LeaseLost:
        log.warning("lease_lost", job=str(lease.job.pk))
    finally:
        slot.hold(None)
        seconds = round(time.monotonic() - started, 3)
        log.info("job_run", job=str(lease.job.pk), operation=lease.job.operation, seconds=seconds)


def _attempt(lease: Lease, pulse: Pulse) -> Callable[[], None]:
    """Do it, and answer with what writes down how it ended. Nothing else is left of it then but what it made."""
    ran: dict[str, str] = {}
    try:
        with _failures(), work_folder(jobs().work_root, str(lease.token)) as folder:
            attempt = Attempt(lease, pulse, folder)
            try:
                outcome, kept = attempt.carry_out()
            finally:
                ran = attempt.ran
    except Cancelled:
        return partial(leases.end_cancelled, lease)
    except Released:
        return partial(leases.end_released, lease)
    except Failure as failure:
        return partial(leases.end_failed, lease, failure, ran)
    return partial(_succeed, lease, outcome, kept, ran)


def _succeed(lease: Lease, outcome: Outcome, kept: list[StoredOutput], ran: dict[str, str]) -> None:
    facts = outcome.facts.model_dump(mode="json") if outcome.facts else None
    try:
        leases.finish(lease, kept, facts=facts, message=outcome.message, ran=ran)
    except QuotaReached as failure:
        # In this order: while it is not written down that it failed, it may yet succeed.
        leases.end_failed(lease, failure, ran)
        _discard(lease, len(kept))
    except LeaseLost:
        _discard(lease, len(kept))
        raise
    except Cancelled:
        _discard(lease, len(kept))
        leases.end_cancelled(lease)


def _discard(lease: Lease, number: int) -> None:
    discard(*(lease.key(index) for index in range(number)))


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong beneath, as a reason that can be told."""
    try:
        yield
    except (Failure, Interruption):
        raise
    except (SinkFull, InsufficientStorage) as error:
        raise NoRoom("The server's disk is full.") from error
    except (SinkError, StorageUnavailable) as error:
        raise ContentLost("The server's disk does not work.") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoRoom("The server's disk is full.") from error
        raise _our_mistake() from error
    except Exception as error:
        raise _our_mistake() from error


def _our_mistake() -> Internal:
    log.exception("attempt_failed")
    return Internal("Something went wrong on our side; it was written down.")


def _insist(end: Callable[[], None]) -> None:
    """Write how it ended, though the database may be away just now. After a lease's time, others have decided."""
    until = time.monotonic() + jobs().lease
    while True:
        try:
            return end()
        except (OperationalError, InterfaceError):
            close_old_connections()
            if time.monotonic() > until:
                raise LeaseLost from None
            time.sleep(_AGAIN)
