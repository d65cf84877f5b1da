"""One attempt at a job: fetch, run, verify, store, finish. Or stop, and leave nothing behind.

Only one thread starts, watches and kills ffmpeg: the thread that runs the attempt. Meanwhile the slot's heartbeat
renews the lease. `Heartbeat.check`, called several times a second, raises in that thread when the work must stop.
"""

import errno
import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from uploads.errors import InsufficientStorage, StorageUnavailable
from uploads.models import MediaFile
from uploads.runtime.request_context import on_behalf_of
from uploads.sinks.base import SinkError, SinkFull
from uploads.storage.stores import sink
from uploads.transfers.disk_space import FloorWatch, check_free, free_above_floor

from .. import operations
from ..conf import jobs
from ..errors import (
    Cancelled,
    ContentLost,
    EndpointBusy,
    Failure,
    Internal,
    Interruption,
    LeaseLost,
    NoRoom,
    NoScratch,
    OperationUnavailable,
    Released,
)
from ..ffmpeg.probing.media_facts import Facts, current_facts
from ..ffmpeg.progress import Report
from ..ffmpeg.toolbox import Toolbox
from ..ffmpeg.work_folder import work_folder
from ..models import Job, JobInput, Worker
from ..operations.base import Inference, Input, Operation, Outcome, Output, Params, Work
from ..operations.divisible import Again, DivisibleOperation, Indivisible, Part
from ..queue import artifacts, children, kept_parts
from ..queue.artifacts import StoredOutput
from ..queue.leases import Lease
from . import scratch
from .attempt_end import End, PartsAgain, Split, Success, record_end
from .content_notes import ContentNotes
from .heartbeat import Heartbeat
from .inputs import Inputs, free_disk
from .model_server import model_server_of
from .outputs import Outputs
from .slot import BEAT, Slot, equipment

log = structlog.get_logger(__name__)


def run_job(lease: Lease, slot: Slot) -> None:
    """Carry out an attempt at a claimed job, and write how it ended. Log lines have the id of the job's request."""
    with on_behalf_of(lease.job.request_id):
        heartbeat = Heartbeat(lease, slot)
        slot.hold(heartbeat.renew)
        started = time.monotonic()
        try:
            end, ran = _carry_out(lease, heartbeat, slot)
            record_end(lease, end, ran)
        except LeaseLost:
            log.warning("lease_lost", job=str(lease.job.pk))
        finally:
            slot.hold(None)
            seconds = round(time.monotonic() - started, 3)
            log.info("job_run", job=str(lease.job.pk), operation=lease.job.operation, seconds=seconds)


def _carry_out(lease: Lease, heartbeat: Heartbeat, slot: Slot) -> tuple[End, dict[str, str]]:
    """How the attempt ended, and the commands it ran. By then its processes have ended and its folder is gone."""
    ran: dict[str, str] = {}
    try:
        with (
            _as_failures(),
            work_folder(jobs().work_root, str(lease.token)) as folder,
            Inputs(heartbeat.check, lambda message: heartbeat.report(Report(message))) as inputs,
            slot.helper.lend(lease.job.owner_id, jobs().threads, heartbeat.check) as inference,
        ):
            attempt = Attempt(lease, heartbeat, folder, inputs, inference)
            try:
                end = attempt.carry_out()
            finally:
                ran = attempt.ran
    except (Failure, Cancelled, Released, NoScratch, EndpointBusy) as ended:
        return ended, ran
    return end, ran


def _operation(job: Job) -> tuple[Operation[Any], Params]:
    """What the job runs. A plug-in may have been removed or changed since the job was submitted."""
    operation = operations.registry.get(job.operation)
    if operation is None:
        raise OperationUnavailable(f"The operation “{job.operation}” is not installed here, or cannot be used.")
    try:
        return operation, operation.parameters.model_validate(job.params)
    except ValidationError as error:
        raise OperationUnavailable(
            f"“{job.operation}” takes other parameters than when this job was submitted. Submit it again."
        ) from error


class Attempt:
    def __init__(
        self, lease: Lease, heartbeat: Heartbeat, folder: Path, inputs: Inputs, inference: Inference
    ) -> None:
        self._lease, self._job, self._heartbeat, self._folder = lease, lease.job, heartbeat, folder
        self._inputs, self._inference = inputs, inference
        self._files: Sequence[MediaFile | None] = ()
        self._tools = Toolbox(
            binary=equipment().binary, sandbox=equipment().sandbox, folder=folder, threads=jobs().threads,
            check=self._check, on_report=heartbeat.report, stall_timeout=jobs().stall_timeout, timeout=jobs().timeout,
        )  # fmt: skip
        self._outputs = Outputs(lease, self._tools, self._check)
        self._checked_at = time.monotonic()
        self._floor = FloorWatch(sink(), folder)

    def _check(self) -> None:
        self._heartbeat.check()
        if time.monotonic() - self._checked_at > BEAT:
            self._checked_at = time.monotonic()
            self._heartbeat.show(self.ran)
            free_disk()
            self._floor.check()  # jobs that run side by side could fill the disk together

    @property
    def ran(self) -> dict[str, str]:
        """The columns of the job's row that are written however the attempt ends."""
        commands = "\n".join(map(shlex.join, self._tools.commands))
        return {"command": commands, "log": self._tools.log, "build": equipment().binary.build}

    def carry_out(self) -> Success | Split | PartsAgain:
        operation, params = _operation(self._job)
        server = model_server_of(self._job, self._check)
        self._heartbeat.enter(Job.Phase.FETCHING, "Fetching", self._job.input_bytes or 0)
        main, *others = self._fetch()
        self._heartbeat.enter(Job.Phase.WORKING, "Working")
        work = Work(
            params,
            main,
            others,
            self._folder,
            self._tools,
            jobs().threads,
            self._notes,
            self._inference,
            jobs().models,
            server,
        )
        outcome = self._divide(operation, work) if isinstance(operation, DivisibleOperation) else operation.run(work)
        if not isinstance(outcome, Outcome):
            return outcome
        stored = self._keep(outcome.outputs)
        facts = outcome.facts.model_dump(mode="json") if outcome.facts else None
        recipe = self._recipe(self._job.part) if self._job.part else ""
        return Success(stored, facts, outcome.message, recipe, outcome.measured)

    @property
    def _notes(self) -> ContentNotes:
        job = self._job
        assert job.file is not None  # it was fetched
        return ContentNotes(job.file.blob_id, job.operation, job.version, equipment().binary.build)

    def _fetch(self) -> list[Input]:
        in_store, here = check_free(sink(), 1), free_above_floor(self._folder)
        self._tools.room = here if in_store is None else min(in_store, here)
        job = self._job
        # Queried here and not with the claim, which is to be as short as possible.
        job.file = MediaFile.objects.select_related("blob").filter(jobs=job).first()
        inputs = JobInput.objects.filter(job=job.parent_id or job.pk).select_related("file__blob").order_by("number")
        files = self._files = [job.file, *(item.file for item in inputs)]
        needed = _needed(job)
        try:
            return [
                self._link(number, file) if needed is None or number in needed else _absent(file)
                for number, file in enumerate(files)
            ]
        except NoScratch as reason:
            raise NoScratch(sum(file.size for file in files if file is not None)) from reason

    def _recipe(self, spec: Mapping[str, Any]) -> str:
        return kept_parts.recipe_of(self._job, spec, self._files, equipment().binary.build)

    def _link(self, number: int, file: MediaFile | None) -> Input:
        if file is None:
            raise ContentLost("A file that this job needs was deleted.")
        path = self._inputs.path_of(file)
        # A short name in our folder: people are shown the command, and may copy it.
        link = self._folder / f"input{number}"
        link.symlink_to(path)
        return Input(link, file.name, file.blob.kind, self._facts_of(file, link), file.blob.media_type)

    def _facts_of(self, file: MediaFile, path: Path) -> Facts:
        return current_facts(file.blob.facts) or self._tools.probe(path)

    def _divide(self, operation: DivisibleOperation[Any], work: Work[Any]) -> Outcome | Split | PartsAgain:
        """Do one part, or join the parts, or split the work; or do it in one piece."""
        if self._job.part is not None:
            return operation.run_part(replace(work, checkpoints=self._outputs), self._job.part)
        if made := list(children.children_of(self._job)):  # all have succeeded, or nobody could claim the parent
            fetched = [scratch.bring(child, self._folder, self._inputs) for child in made]
            lost = [child.number for child, part in zip(made, fetched, strict=True) if part is None]
            if lost:
                return PartsAgain(dict.fromkeys(lost), "as their bytes were lost")
            joined = operation.join(work, [part for part in fetched if part is not None])
            match joined:
                case Outcome():
                    return joined
                case Again():
                    return PartsAgain(dict(joined.specs), "as the result missed its target")
                case further:
                    return self._split(further)
        slots = Worker.live().filter(lane=operation.parts_lane_of(work.params)).count()
        if not operation.is_worth_splitting(work.main.facts, slots, jobs().split_after):
            return operation.run(work)
        try:
            parts = operation.split(work, slots)
            return parts if isinstance(parts, Outcome) else self._split(parts)
        except Indivisible as reason:
            outcome = operation.run(work)
            return replace(outcome, message=f"{outcome.message} In one piece: {reason}.".strip())

    def _split(self, parts: Sequence[Part]) -> Split:
        """Keep what is made already, as if children had made it."""
        stored = iter(self._keep([output for part in parts for output in part.outputs]))
        done = {number: list(islice(stored, len(part.outputs))) for number, part in enumerate(parts) if part.outputs}
        return Split(parts, done, {number: self._recipe(part.spec) for number, part in enumerate(parts)})

    def _keep(self, outputs: Sequence[Output]) -> list[StoredOutput]:
        """Verify and store outputs."""
        size = sum(output.path.stat().st_size for output in outputs if output.path.exists())
        self._heartbeat.enter(Job.Phase.VERIFYING, "Verifying", size)
        found = [self._tools.verify(output.path, output.expected) for output in outputs]
        self._heartbeat.enter(Job.Phase.STORING, "Storing", size)
        return self._store(outputs, found, size)

    def _store(self, outputs: Sequence[Output], found: Sequence[Facts | None], size: int) -> list[StoredOutput]:
        # The quota is decided on in the transaction that ends the job. It is checked here, too, so that
        # gigabytes are not stored in vain.
        failure = artifacts.quota_failure(self._job, size) if self._job.parent_id is None else None
        if failure and not artifacts.success_without_outputs(self._job, failure):
            raise failure
        return self._outputs.store(outputs, found)


def _needed(job: Job) -> Collection[int] | None:
    """The numbers of the files that are fetched. None: all."""
    operation = operations.get(job.operation)
    if job.part is None or not isinstance(operation, DivisibleOperation):
        return None
    return operation.inputs_of(job.part)


def _absent(file: MediaFile | None) -> Input:
    """A file that a part does not need: nothing reads it."""
    return Input(Path("absent"), file.name if file else "", file.blob.kind if file else "", Facts(format=""))


@contextmanager
def _as_failures() -> Iterator[None]:
    """Turn any error into a Failure that can be shown to the job's owner."""
    try:
        yield
    except (Failure, Interruption):
        raise
    except (SinkFull, InsufficientStorage) as error:
        raise NoRoom("The server's disk is full.") from error
    except (SinkError, StorageUnavailable) as error:
        raise ContentLost("The server's disk reported an error.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise NoRoom("The server's disk is full.") from error
        log.exception("attempt_failed")
        raise Internal("An internal error occurred. The server's log has the details.") from error
