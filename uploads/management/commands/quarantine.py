from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from uploads.management.terminal_command import TerminalCommand
from uploads.sinks.base import Quarantined, Sink, SinkError
from uploads.storage.stores import sinks
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
        try:
            self._handle(take_back, purge, purge_all)
        except SinkError as error:
            raise CommandError(str(error)) from error

    def _handle(self, take_back: list[str], purge: list[str], purge_all: bool) -> None:
        entries = [(place, one) for place in sinks() for one in place.quarantine.entries()]
        found = sorted(entries, key=lambda entry: entry[1].since)
        chosen = found if purge_all else [entry for entry in found if entry[1].key in {*take_back, *purge}]
        if unknown := {*take_back, *purge} - {one.key for _, one in chosen}:
            raise CommandError(f"Not in quarantine: {', '.join(sorted(unknown))}.")
        for place, one in chosen:
            self._do(place, one, take_back=bool(take_back))
        if not (take_back or purge or purge_all):
            self._list(found)

    def _do(self, place: Sink, one: Quarantined, *, take_back: bool) -> None:
        if take_back:
            place.quarantine.take_back(one)
            self.stdout.write(f"{one.key} is back in the store. If no file uses it, `manage.py rebuild` creates one.")
        else:
            place.quarantine.purge(one)
            self.stdout.write(f"{one.key} is deleted.")

    def _list(self, found: list[tuple[Sink, Quarantined]]) -> None:
        for place, one in found:
            why = _REASONS.get(one.reason, one.reason)
            where = f" [{place.name}]" if len(sinks()) > 1 else ""
            since = f"since {one.since:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"{one.key}{where}  {human_size(one.size)}, {since}: {why}")
        total = human_size(sum(one.size for _, one in found))
        self.stdout.write(f"Objects in quarantine: {len(found)}, {total}." if found else "The quarantine is empty.")
