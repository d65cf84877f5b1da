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
_LOOK_AGAIN = timedelta(minutes=1)  # whether the clock is steady
CHORES = [
    *of_uploads.CHORES,
    *of_jobs.CHORES,
    Chore("make the folders of messages", timedelta(seconds=1), make_folders),
    Chore("snapshot the database", timedelta(hours=1), snapshot_nightly),
]


class Command(TerminalCommand):
    help = "Do the chores: take back lost jobs, sweep what crashes left, forget what is old. `serve` runs this."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="do each chore once, and end; but delete nothing because of its age"
        )
        parser.add_argument(
            "--now",
            action="store_true",
            help="do each chore once, and end; also delete expired uploads and tokens, what crashes left, and old "
            "records. Make sure first that the clock is right",
        )

    def handle(self, *args: Any, once: bool, now: bool, **options: Any) -> None:
        if once or now:
            self._do_once(with_deletions=now)
            return
        parent_death.end_with_parent()
        instance_lock.hold_shared()
        # Those that people wait for do not wait for those that may take minutes: a sweep of a large disk.
        urgent = [chore for chore in CHORES if chore.every <= _URGENT]
        others = [chore for chore in CHORES if chore.every > _URGENT]
        clock = watch_clocks()
        start_essential("slow chores", lambda: _go_on_with(others, clock))
        start_essential("alerts", lambda: _go_on_with([ALERTS], clock))  # a mail server may take its time, too
        _go_on_with(urgent, clock)

    def _do_once(self, *, with_deletions: bool) -> None:
        for chore in [*CHORES, ALERTS]:
            if with_deletions or not chore.by_clock:
                run(chore)
        if not with_deletions:
            left_out = ", ".join(chore.name for chore in CHORES if chore.by_clock)
            self.stdout.write(f"Not done, because they delete by age: {left_out}. Add --now to do them too.")


def _go_on_with(chores: Sequence[Chore], clock: SteadyClock) -> NoReturn:
    due = {chore.name: 0.0 for chore in chores}
    while True:
        for chore in chores:
            if time.monotonic() >= due[chore.name]:
                pause = chore.every
                if chore.by_clock and not clock.is_steady():
                    pause = min(pause, _LOOK_AGAIN)
                else:
                    run(chore)
                due[chore.name] = time.monotonic() + pause.total_seconds()
        time.sleep(1)
