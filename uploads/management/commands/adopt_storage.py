from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from uploads.conf import limits
from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import SinkError
from uploads.storage.marker import adopt, describe, is_ours
from uploads.storage.stores import sink


class Command(TerminalCommand):
    help = "Connect this store with this database after one of them was lost or replaced."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)  # a new database has no tables yet
        place = sink()
        if is_ours(place):
            self.stdout.write("This store already belongs to this database.")
            return
        try:
            self.stdout.write(describe(place))
        except SinkError as error:
            raise CommandError(
                f"The store {limits().media_root} cannot be read ({error}). Is the disk mounted? "
                "If the store is new, make this folder first."
            ) from error
        self.stdout.write("If another installation uses this store, it will stop writing to it.")
        if not yes and input("Adopt it? Type yes: ").strip() != "yes":
            raise CommandError("Nothing was changed.")
        adopt(place)
        adopted = "Adopted. Run `manage.py rebuild` to create rows for files that the database does not know."
        self.stdout.write(adopted, self.style.SUCCESS)
