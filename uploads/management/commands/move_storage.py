import os
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Count, QuerySet, Sum
from tqdm import tqdm

from uploads.errors import Refusal
from uploads.maintenance.move_storage import Move, movable, with_equal_content, write_sidecars
from uploads.management.terminal_command import TerminalCommand
from uploads.models import Blob, Tombstone
from uploads.sinks.base import Sink, SinkError
from uploads.storage.blob_move import Outcome, Route
from uploads.storage.keys_in_use import arriving
from uploads.storage.marker import is_ours
from uploads.storage.stores import sink, sinks
from uploads.text.sizes import human_size, parse_size
from uploads.text.times import human_time

_INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended
_STOPPING = b"\nStopping when the contents that are being copied are complete. Ctrl-C again stops at once.\n"


class Command(TerminalCommand):
    help = (
        "Move all content of one store to another while Millrace runs. Every copy is verified. If interrupted, run "
        "it again: it continues. Exit code 1 if something could not be moved."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", metavar="FROM", help="local, or s3://BUCKET/PREFIX")
        parser.add_argument("target", metavar="TO", help="the same for the other store")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be moved")
        parser.add_argument(
            "--parallel", type=_positive, default=4, metavar="N", help="copies at a time (%(default)s)"
        )
        parser.add_argument("--limit-rate", type=parse_size, metavar="SIZE", help="bytes per second, such as 20MB")
        parser.add_argument(
            "--keep", type=float, default=3600, metavar="SECONDS",
            help="how long old bytes stay for downloads that have begun (%(default)s); running jobs keep them longer",
        )  # fmt: skip
        parser.add_argument("--no-read-back", action="store_true", help="do not read each copy again to verify it")

    def handle(
        self, *args: Any, source: str, target: str, dry_run: bool, parallel: int, limit_rate: int | None, keep: float,
        no_read_back: bool, **options: Any,
    ) -> None:  # fmt: skip
        if source == target:
            raise CommandError("FROM and TO are the same store.")
        route = Route(_store(source), _store(target), timedelta(seconds=keep), is_read_again=not no_read_back)
        if dry_run:
            self._describe(route)
            return
        if target != sink().name:
            self.stdout.write(f"New files still go to {sink().name}, as MILLRACE_STORAGE says.")
        try:
            move = self._run(route, parallel, limit_rate)
            write_sidecars(route)
        except (SinkError, Refusal) as error:
            raise CommandError(f"{error} What was moved stays moved. Run the command again to continue.") from error
        self._summarize(route, move)

    def _describe(self, route: Route) -> None:
        number, size = _total(movable(route.source))
        equal = with_equal_content(route).count()
        self.stdout.write(
            f"{number} contents ({human_size(size)}) of {route.source.name} would be moved to {route.target.name}. "
            f"{equal} of them are there already."
        )
        self._tell_of_uploads(route.source)

    def _run(self, route: Route, parallel: int, rate: int | None) -> Move:
        number, size = _total(movable(route.source))
        with tqdm(total=size, desc="move", unit="B", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
            meter = _Meter(bar, number)
            move = Move(route, parallel, rate, meter.count, meter.end)
            with _stopped_by_signals(move):
                move.run()
        return move

    def _summarize(self, route: Route, move: Move) -> None:
        report, source = move.report, route.source.name
        self.stdout.write(
            f"{report.done} contents were moved; {report.outcomes[Outcome.MERGED]} of them were in "
            f"{route.target.name} already."
        )
        for blob, outcome in report.left:
            self.stderr.write(f"{blob.key} ({human_size(blob.size)}; {_names(blob)}): {outcome}")
        self._tell_of_uploads(route.source)
        if move.is_stopped:
            number, size = _total(movable(route.source))
            text = f"Stopped. {number} contents ({human_size(size)}) are left in {source}. Run it again to continue."
            raise CommandError(text, returncode=_INTERRUPTED)
        if report.left:
            raise CommandError(f"{len(report.left)} contents could not be moved and are left in {source}.")
        self._tell_of_old_bytes(route)

    def _tell_of_uploads(self, source: Sink) -> None:
        if number := arriving(sink=source.name).count():
            self.stdout.write(
                f"{number} uploads are still arriving in {source.name}. Run this again when they are complete."
            )

    def _tell_of_old_bytes(self, route: Route) -> None:
        source = route.source
        # Also claims: what a killed move to this store has left, which the sweep removes after an hour.
        claims = Blob.objects.filter(sink=source.name, state=Blob.State.STORING)
        if number := Tombstone.objects.filter(sink=source.name).count() + claims.count():
            self.stdout.write(
                f"{number} old contents wait in {source.name} until nobody reads them, at least "
                f"{human_time(route.kept.total_seconds())}. Housekeeping then deletes them. Run this again later to "
                f"see whether {source.name} is empty."
            )
        elif not movable(source).exists() and not arriving(sink=source.name).exists():
            self.stdout.write(f"{source.name} has no content any more. You can remove it from the settings.")


class _Meter:
    """Shows bytes and contents. Called by several threads."""

    def __init__(self, bar: Any, number: int) -> None:
        self._bar, self._number, self._lock = bar, number, threading.Lock()
        self._ended = self._size = 0

    def count(self, size: int) -> None:
        with self._lock:
            self._bar.update(size)

    def end(self, blob: Blob, outcome: Outcome) -> None:
        with self._lock:
            self._ended += 1
            self._size += blob.size
            self._bar.update(max(0, self._size - self._bar.n))  # it needed no copy
            self._bar.set_postfix_str(f"{self._ended}/{self._number} contents")


def _positive(raw: str) -> int:
    if (number := int(raw)) < 1:
        raise ValueError(raw)
    return number


def _store(name: str) -> Sink:
    configured = {place.name: place for place in sinks()}
    if name not in configured:
        raise CommandError(
            f"The store “{name}” is not configured. Configured are: {', '.join(configured)}. Add it to "
            "MILLRACE_OTHER_STORAGE, and restart all processes first."
        )
    if not is_ours(configured[name]):
        raise CommandError(
            f"The storage marker of “{name}” is missing or belongs to another installation. Is the store reachable, "
            "and was Millrace restarted since it was configured?"
        )
    return configured[name]


def _total(blobs: QuerySet[Blob]) -> tuple[int, int]:
    found = blobs.aggregate(number=Count("pk"), size=Sum("size"))
    return found["number"], found["size"] or 0


def _names(blob: Blob) -> str:
    names = list(blob.files.values_list("name", flat=True)[:3])
    return ", ".join(names) or "no file"


@contextmanager
def _stopped_by_signals(move: Move) -> Iterator[None]:
    """Ctrl-C or SIGTERM let the copies that run finish; a second one breaks them off."""

    def stop(*_: object) -> None:
        if not move.is_stopped:
            os.write(sys.stderr.fileno(), _STOPPING)
        move.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
