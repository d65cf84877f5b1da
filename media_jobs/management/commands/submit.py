import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import CommandError, DjangoHelpFormatter
from tqdm import tqdm

from uploads.errors import Refusal
from uploads.management.terminal_command import TerminalCommand
from uploads.models import MediaFile
from uploads.text.sizes import human_size
from uploads.text.terminal_safety import printable
from uploads.transfers.admission import Presets
from uploads.transfers.ingest.files import Mode, ingest_file

from ... import operations
from ...errors import AlreadyFinished
from ...models import Job
from ...permissions import HIGHEST, LOWEST
from ...queue import cancel_and_retry, presets
from ...queue.status_text import Lanes, message_of, waiting_for
from ...queue.submission import Order, submit

_LOOK_EVERY = 0.3
_STOPS_WITHIN = 10.0
_INTERRUPTED = 130  # as shells say it
_BAR = "{percentage:3.0f} % |{bar:24}| {desc}"


class _Help(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Django's formatter, which keeps the lines of the list of operations."""


class Command(TerminalCommand):
    help = "Run an operation on a file as a job, show its progress, and list its artifacts. Ctrl-C cancels the job."

    def create_parser(self, prog_name: str, subcommand: str, **more: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, **(more | {"formatter_class": _Help, "epilog": _operations()})
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="a path on this machine, or the id of a stored file")
        parser.add_argument(
            "operation",
            metavar="OPERATION",
            nargs="?",
            help="one of the operations listed below, unless --preset is given",
        )
        parser.add_argument("params", nargs="*", metavar="NAME=VALUE", help="its parameters, such as height=720")
        parser.add_argument(
            "--preset", metavar="NAME", help="the owner's preset, or one for all, instead of an operation"
        )
        parser.add_argument("--owner", help="the job's owner (default: the file's, or the first superuser)")
        parser.add_argument(
            "--input", action="append", default=[], metavar="ID", help="the id of a further input; may be repeated"
        )
        parser.add_argument(
            "--priority", type=int, default=0, choices=range(LOWEST, HIGHEST + 1), metavar="N",
            help=f"from {LOWEST} to {HIGHEST} (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--arrivals", action="store_true", help="also run what the owner has chosen to run on each new upload"
        )
        parser.add_argument("--no-wait", action="store_true", help="print the job's id and do not wait for its end")

    def handle(self, *args: Any, file: str, operation: str | None, params: list[str], **options: Any) -> None:
        try:
            owner = _owner_of(file, options["owner"])
            order = _order(owner, operation, params, options["preset"])  # before the file is copied
            inputs = [_find(text) for text in options["input"]]
            media = self._take(file, owner, presets=None if options["arrivals"] else [])
            named = [_find(str(each)) for each in order.named_files]
            job, _ = submit(replace(order, priority=options["priority"]).on(media, inputs, named))
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        if options["no_wait"]:
            self.stdout.write(str(job.pk))
            return
        self._report(self._watch(job))

    def _take(self, text: str, owner: User, *, presets: Presets) -> MediaFile:
        path = Path(text)
        if not path.exists():
            return _find(text)
        if not path.is_file():
            raise CommandError(f"{path} is not a regular file.")
        size = path.stat().st_size
        with tqdm(total=size, desc="Ingest", unit="B", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
            try:
                return ingest_file(path, owner, Mode.COPY, bar.update, presets=presets)[0]
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
            except KeyboardInterrupt:
                raise CommandError("Interrupted. No file was stored.", returncode=_INTERRUPTED) from None

    def _watch(self, job: Job) -> Job:
        try:
            self._follow(job)
        except KeyboardInterrupt:
            self._cancel(job)
        job.refresh_from_db()
        return job

    def _follow(self, job: Job) -> None:
        status = ""
        with tqdm(total=1, desc=job.operation, bar_format=_BAR, disable=not sys.stderr.isatty()) as bar:
            while True:
                job.refresh_from_db()
                bar.n = job.progress
                message = (
                    f"Waiting for: {reason}" if (reason := waiting_for(job, Lanes.now([job]))) else message_of(job)
                )
                bar.set_description_str(printable(f"{job.operation}: {message}", one_line=True))
                if bar.disable and job.status != status:  # in a log: one line for each status
                    status = job.status
                    self.stderr.write(f"{status}: {message}")
                if job.is_finished:
                    return
                time.sleep(_LOOK_EVERY)

    def _cancel(self, job: Job) -> None:
        self.stderr.write("Cancelling …")
        with suppress(AlreadyFinished):
            cancel_and_retry.cancel(job)
        until = time.monotonic() + _STOPS_WITHIN
        while not Job.objects.filter(pk=job.pk, finished_at__isnull=False).exists() and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)

    def _report(self, job: Job) -> None:
        if job.status == Job.Status.FAILED:
            raise CommandError(f"{job.error_detail} ({job.error_code}; job {job.pk})")
        if job.status != Job.Status.SUCCEEDED:
            stopped = "is cancelled" if job.is_finished else "is being cancelled"
            raise CommandError(f"Job {job.pk} {stopped}.", returncode=_INTERRUPTED)
        self.stdout.write(
            f"{job.message} (job {job.pk}{', with the result of an earlier job' if job.cached else ''})"
        )
        for artifact in job.artifacts.select_related("file__blob").order_by("name"):
            self.stdout.write(f"  {artifact.name}  {artifact.file_id}  {human_size(artifact.file.blob.size)}")


def _operations() -> str:
    lines = ["operations and their parameters:"]
    for operation in operations.registry.values():
        names = ", ".join(operations.schema(operation)["properties"]) or "none"
        lines += [f"  {operation.name}: {operation.summary}", f"      {names}"]
    example = "example: manage.py submit movie.mp4 transcode codec=vp9 height=720"
    return "\n".join([*lines, "", example])


def _owner_of(file: str, name: str | None) -> User:
    """The account that is named, or else the owner of a stored file, or the first superuser."""
    return _account(name) if name or Path(file).exists() else _find(file).owner


def _order(owner: User, operation: str | None, params: list[str], preset: str | None) -> Order:
    if preset is not None:
        if operation is not None:
            raise CommandError("Give either --preset, or an operation with its parameters.")
        return Order.of_preset(owner, presets.find(owner, preset))
    if operation is None:
        raise CommandError("Give an operation, or --preset.")
    return Order.parse(owner, operation, dict(_parse(param) for param in params))


def _parse(param: str) -> tuple[str, Any]:
    """The value is parsed as JSON if possible, else it is text."""
    name, equals, value = param.partition("=")
    if not equals:
        raise CommandError(f"“{param}” is not a parameter. Write NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _find(text: str) -> MediaFile:
    with suppress(ValueError):
        if found := MediaFile.objects.select_related("blob", "owner").filter(pk=UUID(text)).first():
            return found
    raise CommandError(f"There is no file {text}: it is neither a path on this machine nor the id of a stored file.")


def _account(name: str | None) -> User:
    accounts = get_user_model().objects.order_by("pk")
    found: User | None = accounts.filter(**({"username": name} if name else {"is_superuser": True})).first()
    if found is None:
        reason = f"There is no account “{name}”." if name else "There is no superuser. Name the owner with --owner."
        raise CommandError(reason)
    return found
