import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from django.core.management.base import BaseCommand

from config import instance_lock, lifeline
from config.backup import snapshot_nightly
from config.celery import make_folders
from media_jobs import housekeeping as of_jobs
from uploads import housekeeping as of_uploads
from uploads.housekeeping import Chore, run
from uploads.threads import start_essential

_URGENT = timedelta(seconds=1)
CHORES = [
    *of_uploads.CHORES,
    *of_jobs.CHORES,
    Chore("make the folders of messages", timedelta(seconds=1), make_folders),
    Chore("snapshot the database", timedelta(hours=1), snapshot_nightly),
]


class Command(BaseCommand):
    help = "Do the chores: take back lost jobs, sweep what crashes left, forget what is old. `serve` runs this."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="do each chore once, and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if once:
            for chore in CHORES:
                run(chore)
            return
        lifeline.hold()
        instance_lock.hold_shared()
        # Those that people wait for do not wait for those that may take minutes: a sweep of a large disk.
        urgent = [chore for chore in CHORES if chore.every <= _URGENT]
        others = [chore for chore in CHORES if chore.every > _URGENT]
        start_essential("slow chores", lambda: _go_on_with(others))
        _go_on_with(urgent)


def _go_on_with(chores: Sequence[Chore]) -> NoReturn:
    due = {chore.name: 0.0 for chore in chores}
    while True:
        for chore in chores:
            if time.monotonic() >= due[chore.name]:
                run(chore)
                due[chore.name] = time.monotonic() + chore.every.total_seconds()
        time.sleep(1)
