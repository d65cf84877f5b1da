import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from uploads.maintenance.fsck import find_in_sidecars
from uploads.maintenance.rebuild import rebuild
from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import SinkError
from uploads.storage.marker import mark_of, trouble
from uploads.storage.stores import sinks


class Command(TerminalCommand):
    help = "Create database rows for files that are only in the store, from their sidecars."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="list the files and change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        for place in sinks():
            if why := trouble(place, mark_of(place)):
                raise CommandError(
                    f"The store “{place.name}” cannot be used. {why} If the right database and the right store are "
                    "configured, and can be reached: run manage.py adopt-storage first."
                )
        try:
            self._preview() if dry_run else self._rebuild()
        except SinkError as error:
            raise CommandError(f"The store failed: {error} Run the command again, and it continues.") from error

    def _preview(self) -> None:
        for place in sinks():
            for finding in find_in_sidecars(place):
                self.stdout.write(str(finding))

    def _rebuild(self) -> None:
        with tqdm(desc="rebuild", unit=" files", disable=not sys.stderr.isatty()) as bar:
            report = rebuild(*sinks(), seen=lambda _: bar.update())
        for key in report.by_key:
            self.stdout.write(f"{key}: has no sidecar. The file is named by its key and owned by “recovered”.")
        for sidecar in report.lost:
            self.stdout.write(f"{sidecar.name} of {sidecar.owner}: its content ({sidecar.key}) is not in the store.")
        for name in report.unreadable:
            self.stdout.write(f"{name}: the sidecar cannot be read.")
        if report.accounts:
            self.stdout.write(
                f"Accounts created, inactive and without a password: {', '.join(report.accounts)}. Activate them in "
                "the admin, and set passwords there or with manage.py changepassword."
            )
        made = f"{report.files} files rebuilt, {report.updated} updated, {len(report.by_key)} named by their key"
        if report.lost or report.unreadable:
            raise CommandError(f"{made}, {len(report.lost)} lost, {len(report.unreadable)} sidecars unreadable.")
        self.stdout.write(f"{made}.", self.style.SUCCESS)
