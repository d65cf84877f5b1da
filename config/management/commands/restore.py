from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from config.processes import instance_lock
from media_jobs.queue.artifacts import forget_outputs
from uploads.maintenance.backup import BackupFailed, Snapshot, snapshots
from uploads.maintenance.fsck import Finding
from uploads.maintenance.restore import compare, forget_intentions, load
from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import SinkError
from uploads.storage.marker import mark_of, trouble
from uploads.storage.stores import sinks

_SHOWN = 20


class Command(TerminalCommand):
    help = "Replace the database by a snapshot, and compare it with the storage. Stop Millrace first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "snapshot", type=Path, nargs="?", help="folder of the snapshot; if left out, the snapshots are listed"
        )

    def handle(self, *args: Any, snapshot: Path | None, **options: Any) -> None:
        if snapshot is None:
            self._list()
            return
        with instance_lock.exclusively():
            self._restore(snapshot)

    def _restore(self, snapshot: Path) -> None:
        try:
            before = load(Snapshot.at(snapshot.absolute()), settings.SNAPSHOTS)
        except BackupFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Restored the database from {snapshot.name}. The old database is kept in {before}.")
        call_command("migrate", verbosity=0, interactive=False)
        forget_intentions()
        forget_outputs()
        self._compare()

    def _list(self) -> None:
        found = snapshots(settings.SNAPSHOTS)
        if not found:
            raise CommandError(f"There is no snapshot in {settings.SNAPSHOTS}. Name the folder of a snapshot.")
        for each in found:
            self.stdout.write(
                f"{each.folder}  taken {each.taken_at:%Y-%m-%d %H:%M} UTC, {each.manifest['files']} files"
            )

    def _compare(self) -> None:
        for place in sinks():
            if why := trouble(place, mark_of(place)):
                self.stdout.write(f"The store “{place.name}”: {why} If it is right: manage.py adopt-storage.")
        try:
            found = compare(*sinks())
        except SinkError as error:
            raise CommandError(
                f"The database was restored. It could not be compared with the store: {error}"
            ) from error
        self.stdout.write(f"The database has {found.files} files.")
        self._show("are in the storage and not in the database. `manage.py rebuild` adds them", found.newer)
        self._show("are in the database, and their bytes are missing in the storage", found.missing)

    def _show(self, what: str, findings: list[Finding]) -> None:
        if findings:
            self.stdout.write(f"{len(findings)} {what}:", self.style.WARNING)
        for finding in findings[:_SHOWN]:
            self.stdout.write(f"  {finding.key} ({finding.size} bytes)")
        if len(findings) > _SHOWN:
            self.stdout.write(f"  … and {len(findings) - _SHOWN} more: manage.py fsck lists all")
