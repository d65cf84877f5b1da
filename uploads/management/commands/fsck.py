import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Count, QuerySet, Sum
from tqdm import tqdm

from uploads.maintenance.fsck import (
    LOST,
    Defect,
    Finding,
    find_in_rows,
    find_in_sidecars,
    find_in_sink,
    find_without_sidecar,
    mend,
)
from uploads.maintenance.leftovers import delete_leftovers, find_leftovers
from uploads.maintenance.sweep import too_many
from uploads.management.terminal_command import TerminalCommand
from uploads.models import Blob
from uploads.sinks.base import Sink, SinkError
from uploads.storage.marker import mark_of, trouble
from uploads.storage.sidecars import write_changed
from uploads.storage.stores import sinks
from uploads.storage.tombstones import remove_buried
from uploads.text.sizes import human_size

_DONE = {Defect.ORPHAN: "moved into quarantine", Defect.UNUSED: "moved into quarantine"}
_NEWER = {Defect.UNKNOWN_FILE, Defect.OLDER_ROW}  # the database is older than the store
_HINTS = {
    "--repair repairs what can be repaired.": set(Defect) - LOST - _NEWER,
    "Lost bytes return with their disk, or when the same file is uploaded again.": LOST,
    "manage.py rebuild updates the database from the store.": _NEWER,
}


class Command(TerminalCommand):
    help = "Compare the database with the stored files. Exit code 1 if a problem was found and not repaired."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--deep", action="store_true", help="read all files and verify their hashes")
        parser.add_argument(
            "--repair", action="store_true", help="repair problems; unknown files are moved into quarantine"
        )
        parser.add_argument("--yes", action="store_true", help="with --repair: even if very many files do not match")
        parser.add_argument(
            "--grace", type=float, default=3600, metavar="SECONDS",
            help="ignore files younger than this, which may still be arriving (%(default)s)",
        )  # fmt: skip

    def handle(self, *args: Any, deep: bool, repair: bool, yes: bool, grace: float, **options: Any) -> None:
        for place in sinks():
            if why := trouble(place, mark_of(place)):
                raise CommandError(f"The store “{place.name}” cannot be used. {why} Nothing was checked.")
        try:
            left = [
                one for place in sinks() for one in self._check(place, deep, repair, yes, timedelta(seconds=grace))
            ]
            self._report_quarantine()
        except SinkError as error:
            raise CommandError(f"The store failed, and the check was not finished: {error}") from error
        for name, number in _elsewhere():
            self.stdout.write(f"{number} contents are in the store “{name}”, which is not configured: not checked.")
        count = Blob.objects.filter(sink__in=[place.name for place in sinks()]).count()
        if left:
            hints = " ".join(hint for hint, defects in _HINTS.items() if defects & {one.defect for one in left})
            raise CommandError(f"{count} contents checked, {len(left)} problems found. {hints}")
        self.stdout.write(f"{count} contents checked, no problems found.", self.style.SUCCESS)

    def _check(self, place: Sink, deep: bool, repair: bool, yes: bool, grace: timedelta) -> list[Finding]:
        """Check one store, and repair it. Returns the problems that remain."""
        if repair:
            write_changed(place)
            remove_buried(place)
        found = self._find(place, deep, grace)
        self._report_leftovers(place, repair, grace)
        if repair and not yes and (warning := too_many(place, found, _contents(place).count())):
            raise CommandError(warning)
        return [finding for finding in found if not self._repair(place, finding, repair)]

    def _repair(self, place: Sink, finding: Finding, repair: bool) -> bool:
        """Repair and print a finding. False if a problem remains: lost bytes stay lost, but their row is marked."""
        mended = repair and mend(place, finding)
        is_lost = finding.defect in LOST
        done = "marked as lost" if is_lost else _DONE.get(finding.defect, "repaired")
        self.stdout.write(f"{finding}{f' — {done}' if mended else ''}")
        return mended and not is_lost

    def _report_leftovers(self, place: Sink, repair: bool, grace: timedelta) -> None:
        number = delete_leftovers(place, grace) if repair else sum(1 for _ in find_leftovers(place, grace))
        if number:
            done = "deleted" if repair else "the hourly sweep deletes them"
            self.stdout.write(f"Left of writes that ended: {number} multipart uploads or tails — {done}.")

    def _report_quarantine(self) -> None:
        if found := [one for place in sinks() for one in place.quarantine.entries()]:
            size = human_size(sum(one.size for one in found))
            self.stdout.write(f"Objects in quarantine: {len(found)} ({size}). manage.py quarantine lists them.")

    def _find(self, place: Sink, deep: bool, grace: timedelta) -> list[Finding]:
        contents = _contents(place)
        total = (contents.aggregate(total=Sum("size"))["total"] or 0) if deep else contents.count()
        unit = {"unit": "B", "unit_scale": True} if deep else {"unit": " contents"}
        with tqdm(total=total, desc=f"fsck of {place.name}", disable=not sys.stderr.isatty(), **unit) as bar:
            found = list(
                find_in_rows(place, deep=deep, grace=grace, seen=lambda blob: bar.update(blob.size if deep else 1))
            )
        return [*found, *find_in_sink(place, grace=grace), *find_in_sidecars(place), *find_without_sidecar(place)]


def _contents(place: Sink) -> QuerySet[Blob]:
    return Blob.objects.filter(sink=place.name)


def _elsewhere() -> list[tuple[str, int]]:
    """The names of stores that are not configured, each with the number of its contents."""
    others = Blob.objects.exclude(sink__in=[place.name for place in sinks()])
    return list(others.values("sink").annotate(number=Count("pk")).values_list("sink", "number").order_by("sink"))
