from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from config.snapshots import secrets
from uploads.maintenance.backup import BackupFailed, take
from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import Sink
from uploads.sinks.local.sink import LocalSink
from uploads.storage.stores import sinks
from uploads.text.sizes import human_size


class Command(TerminalCommand):
    help = (
        "Write a snapshot of the database into a folder. Millrace may run. Then copy the files, for example by rsync."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="the snapshot is made in a new folder in this one")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            snapshot = take(folder.absolute(), secrets())
        except BackupFailed as error:
            raise CommandError(str(error)) from error
        size = human_size(snapshot.database.stat().st_size)
        self.stdout.write(f"{snapshot.folder}: the database ({size}) and the secret key.", self.style.SUCCESS)
        places = " and ".join(_where(place) for place in sinks())
        self.stdout.write(f"The files are not part of it. Copy {places} now; a copy from before is incomplete.")


def _where(place: Sink) -> str:
    return str(place.root) if isinstance(place, LocalSink) else place.name
