from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from config.celery import run_slot
from config.processes import instance_lock, parent_death
from config.processes.supervisor import CannotStart, Tree, slots
from uploads.management.terminal_command import TerminalCommand


class Command(TerminalCommand):
    help = (
        "Run the jobs of a lane, with one process for each slot. `serve` starts the slots that the settings ask for."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--lane", choices=sorted(settings.SLOTS), required=True)
        parser.add_argument("--slots", type=int, default=1, help="number of jobs at a time (%(default)s)")
        parser.add_argument("--one", action="store_true", help="run one slot in this process; used by supervisors")

    def handle(self, *args: Any, lane: str, one: bool, **options: Any) -> None:
        parent_death.end_with_parent()
        instance_lock.hold_shared()
        if one:
            run_slot(lane)
            return
        try:
            Tree(f"worker-{lane}", slots(lane, options["slots"])).run()
        except CannotStart as error:
            raise CommandError(str(error)) from error
