import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from config.celery import make_folders
from config.monitoring.email_alerts import ALERTS
from config.processes import instance_lock, parent_death
from config.snapshots import snapshot_nightly
from media_jobs import housekeeping as of_jobs
from uploads.maintenance import housekeeping as of_uploads
from uploads.maintenance.housekeeping import Chore, run
from uploads.maintenance.steady_clock import SteadyClock, watch_clocks
from uploads.management.terminal_command import TerminalCommand
from uploads.runtime.essential_threads import start_essential

_URGENT = timedelta(seconds=1)
_CHECK_CLOCK_AGAIN = timedelta(minutes=1)
CHORES = [
    *of_uploads.CHORES,
    *of_jobs.CHORES,
    Chore("make the folders of messages", timedelta(seconds=1), make_folders),
    Chore("snapshot the database", timedelta(hours=1), snapshot_nightly),
]


class Command(TerminalCommand):
    help = "Run the chores: requeue lost jobs, clean up after crashes, delete expired data. `serve` runs this."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="run each chore once, except those that delete by age, and end"
        )
        parser.add_argument(
            "--now",
            action="store_true",
            help="run each chore once, and end; also delete expired uploads and tokens, leftovers of crashes and "
            "old records. Make sure before that the clock is right",
        )

    def handle(self, *args: Any, once: bool, now: bool, **options: Any) -> None:
        if once or now:
            self._do_once(with_deletions=now)
            return
        parent_death.end_with_parent()
        instance_lock.hold_shared()
        # Urgent chores must not wait for others that may take minutes, such as a sweep of a large disk.
        urgent = [chore for chore in CHORES if chore.every <= _URGENT]
        others = [chore for chore in CHORES if chore.every > _URGENT]
        clock = watch_clocks()
        start_essential("slow chores", lambda: _run_forever(others, clock))
        start_essential("alerts", lambda: _run_forever([ALERTS], clock))  # a mail server may be slow, too
        _run_forever(urgent, clock)

    def _do_once(self, *, with_deletions: bool) -> None:
        for chore in [*CHORES, ALERTS]:
            if with_deletions or not chore.by_clock:
                run(chore)
        if not with_deletions:
            left_out = ", ".join(chore.name for chore in CHORES if chore.by_clock)
            self.stdout.write(f"Not run, because they delete by age: {left_out}. Use --now to run them, too.")


def _run_forever(chores: Sequence[Chore], clock: SteadyClock) -> NoReturn:
    due = {chore.name: 0.0 for chore in chores}
    while True:
        for chore in chores:
            if time.monotonic() >= due[chore.name]:
                pause = chore.every
                if chore.by_clock and not clock.is_steady():
                    pause = min(pause, _CHECK_CLOCK_AGAIN)
                else:
                    run(chore)
                due[chore.name] = time.monotonic() + pause.total_seconds()
        time.sleep(1)
