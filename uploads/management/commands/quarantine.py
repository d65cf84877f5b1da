from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import Quarantined, SinkError
from uploads.storage.stores import sink
from uploads.text.sizes import human_size

_REASONS = {
    "unknown": "no row and no sidecar names it",
    "unused": "no file used it",
    "infected": "the virus scanner found something in it; the failed upload says what",
}


class Command(TerminalCommand):
    help = "List content in quarantine: no file uses it, or it is infected. Take it back, or delete it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--take-back", nargs="+", metavar="KEY", default=[], help="move these back into the store")
        what.add_argument("--purge", nargs="+", metavar="KEY", default=[], help="delete these permanently")
        what.add_argument("--purge-all", action="store_true", help="delete everything in quarantine permanently")

    def handle(self, *args: Any, take_back: list[str], purge: list[str], purge_all: bool, **options: Any) -> None:
        found = sorted(sink().quarantine.entries(), key=lambda one: one.since)
        chosen = found if purge_all else [one for one in found if one.key in {*take_back, *purge}]
        if unknown := {*take_back, *purge} - {one.key for one in chosen}:
            raise CommandError(f"Not in quarantine: {', '.join(sorted(unknown))}.")
        try:
            for one in chosen:
                self._do(one, take_back=bool(take_back))
        except SinkError as error:
            raise CommandError(str(error)) from error
        if not (take_back or purge or purge_all):
            self._list(found)

    def _do(self, one: Quarantined, *, take_back: bool) -> None:
        if take_back:
            sink().quarantine.take_back(one)
            self.stdout.write(f"{one.key} is back in the store. If no file uses it, `manage.py rebuild` creates one.")
        else:
            sink().quarantine.purge(one)
            self.stdout.write(f"{one.key} is deleted.")

    def _list(self, found: list[Quarantined]) -> None:
        for one in found:
            why = _REASONS.get(one.reason, one.reason)
            self.stdout.write(f"{one.key}  {human_size(one.size)}, since {one.since:%Y-%m-%d %H:%M} UTC: {why}")
        total = human_size(sum(one.size for one in found))
        self.stdout.write(f"Objects in quarantine: {len(found)}, {total}." if found else "The quarantine is empty.")
