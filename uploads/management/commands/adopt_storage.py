from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import Sink, SinkError
from uploads.storage.marker import adopt, describe, is_ours
from uploads.storage.stores import sinks


class Command(TerminalCommand):
    help = "Connect the configured stores with this database after one of them was lost or replaced."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)  # a new database has no tables yet
        strange = [place for place in sinks() if not is_ours(place)]
        if not strange:
            self.stdout.write("This store already belongs to this database.")
        for place in strange:
            self._adopt(place, yes)

    def _adopt(self, place: Sink, yes: bool) -> None:
        try:
            place.check_access()
            self.stdout.write(f"The store “{place.name}”: {describe(place)}")
        except SinkError as error:
            raise CommandError(
                f"The store “{place.name}” cannot be read ({error}). Is the disk mounted? "
                "If the store is a new folder, make it first."
            ) from error
        self.stdout.write("If another installation uses this store, it will stop writing to it.")
        if not yes and input("Adopt it? Type yes: ").strip() != "yes":
            raise CommandError("Nothing was changed.")
        adopt(place)
        adopted = "Adopted. Run `manage.py rebuild` to create rows for files that the database does not know."
        self.stdout.write(adopted, self.style.SUCCESS)
