import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from config import lifeline
from config.celery import make_folders
from media_jobs import housekeeping as of_jobs
from uploads import housekeeping as of_uploads
from uploads.housekeeping import Chore, run

CHORES = [
    *of_uploads.CHORES,
    *of_jobs.CHORES,
    Chore("make the folders of messages", timedelta(seconds=1), make_folders),
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
        due = {chore.name: 0.0 for chore in CHORES}
        while True:
            for chore in CHORES:
                if time.monotonic() >= due[chore.name]:
                    run(chore)
                    due[chore.name] = time.monotonic() + chore.every.total_seconds()
            time.sleep(1)
