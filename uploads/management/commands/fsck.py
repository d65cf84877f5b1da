import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Sum
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
from uploads.maintenance.sweep import too_many
from uploads.management.terminal_command import TerminalCommand
from uploads.models import Blob
from uploads.storage.marker import is_ours
from uploads.storage.sidecars import write_changed
from uploads.storage.stores import sink
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
        if not is_ours(sink()):
            raise CommandError(
                "The storage marker is missing or belongs to another installation. Is the disk mounted? Nothing was "
                "checked."
            )
        if repair:
            write_changed(sink())
            remove_buried(sink())
        found = self._find(deep, timedelta(seconds=grace))
        count = Blob.objects.count()
        if repair and not yes and (warning := too_many(found, count)):
            raise CommandError(warning)
        left = [finding for finding in found if not self._repair(finding, repair)]
        self._report_quarantine()
        if left:
            hints = " ".join(hint for hint, defects in _HINTS.items() if defects & {one.defect for one in left})
            raise CommandError(f"{count} contents checked, {len(left)} problems found. {hints}")
        self.stdout.write(f"{count} contents checked, no problems found.", self.style.SUCCESS)

    def _repair(self, finding: Finding, repair: bool) -> bool:
        """Repair and print a finding. False if a problem remains: lost bytes stay lost, but their row is marked."""
        mended = repair and mend(sink(), finding)
        is_lost = finding.defect in LOST
        done = "marked as lost" if is_lost else _DONE.get(finding.defect, "repaired")
        self.stdout.write(f"{finding}{f' — {done}' if mended else ''}")
        return mended and not is_lost

    def _report_quarantine(self) -> None:
        if found := list(sink().quarantine.entries()):
            size = human_size(sum(one.size for one in found))
            self.stdout.write(f"Objects in quarantine: {len(found)} ({size}). manage.py quarantine lists them.")

    def _find(self, deep: bool, grace: timedelta) -> list[Finding]:
        place = sink()
        total = Blob.objects.aggregate(total=Sum("size"))["total"] or 0
        unit = {"unit": "B", "unit_scale": True} if deep else {"unit": " contents"}
        with tqdm(
            total=total if deep else Blob.objects.count(), desc="fsck", disable=not sys.stderr.isatty(), **unit
        ) as bar:
            found = list(
                find_in_rows(place, deep=deep, grace=grace, seen=lambda blob: bar.update(blob.size if deep else 1))
            )
        return [*found, *find_in_sink(place, grace=grace), *find_in_sidecars(place), *find_without_sidecar(place)]
