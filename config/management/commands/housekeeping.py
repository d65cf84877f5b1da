import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from django.conf import settings

from config.celery import make_folders
from config.monitoring.email_alerts import ALERTS
from config.processes import instance_lock, parent_death
from config.processes.leadership import Leadership
from config.snapshots import snapshot_nightly
from media_jobs import housekeeping as of_jobs
from uploads.maintenance import housekeeping as of_uploads
from uploads.maintenance.housekeeping import Chore, run
from uploads.maintenance.steady_clock import SteadyClock, watch_clocks
from uploads.management.terminal_command import TerminalCommand
from uploads.runtime.essential_threads import start_essential

_URGENT = timedelta(seconds=1)
_LOOK_AGAIN = timedelta(minutes=1)
CHORES = [
    *of_uploads.CHORES,
    *of_jobs.CHORES,
    Chore("make the folders of messages", timedelta(seconds=1), make_folders, per_host=True),
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
        # Urgent chores must not wait for others that may take minutes, such as a sweep of a large disk. And no chore
        # waits for one that needs a store, which may be out of reach.
        urgent, urgent_of_store = _chores(urgent=True, uses_store=False), _chores(urgent=True, uses_store=True)
        others, others_of_store = _chores(urgent=False, uses_store=False), _chores(urgent=False, uses_store=True)
        leadership = Leadership(settings.HOME / "housekeeping.lock")
        leadership.renew()
        start_essential("leadership", leadership.keep)
        turns = Turns(watch_clocks(), leadership)
        start_essential("slow chores", lambda: turns.run_forever(others))
        start_essential("urgent chores of stores", lambda: turns.run_forever(urgent_of_store))
        start_essential("slow chores of stores", lambda: turns.run_forever(others_of_store))
        start_essential("alerts", lambda: turns.run_forever([ALERTS]))  # a mail server may be slow, too
        turns.run_forever(urgent)

    def _do_once(self, *, with_deletions: bool) -> None:
        for chore in [*CHORES, ALERTS]:
            if with_deletions or not chore.by_clock:
                run(chore)
        if not with_deletions:
            left_out = ", ".join(chore.name for chore in CHORES if chore.by_clock)
            self.stdout.write(f"Not run, because they delete by age: {left_out}. Use --now to run them, too.")


def _chores(*, urgent: bool, uses_store: bool) -> list[Chore]:
    return [chore for chore in CHORES if (chore.every <= _URGENT) is urgent and chore.uses_store is uses_store]


@dataclass(frozen=True, slots=True)
class Turns:
    """Runs chores when they are due, as far as this process may run them."""

    clock: SteadyClock
    leadership: Leadership

    def run_forever(self, chores: Sequence[Chore]) -> NoReturn:
        due = {chore.name: 0.0 for chore in chores}
        while True:
            for chore in chores:
                if time.monotonic() >= due[chore.name]:
                    due[chore.name] = self.take(chore).total_seconds() + time.monotonic()
            time.sleep(1)

    def take(self, chore: Chore) -> timedelta:
        """Run the chore if this process may. Returns the time until its next turn."""
        # The clocks are read while another process leads, too: their jumps must be known when this one takes over.
        if chore.by_clock and not (self.clock.is_steady() and self.leadership.is_held):
            return min(chore.every, _LOOK_AGAIN)
        if chore.per_host or self.leadership.is_held:
            run(chore)
            return chore.every
        return timedelta(0)
