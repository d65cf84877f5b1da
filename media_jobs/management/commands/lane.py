import time
from argparse import ArgumentParser
from typing import Any

from uploads.management.terminal_command import TerminalCommand

from ...operations.base import LANES
from ...queue import lanes


class Command(TerminalCommand):
    help = (
        "Show, pause or resume the lanes of jobs. "
        "Before maintenance, drain a lane: this pauses it and waits until no job runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("lane", nargs="?", choices=LANES, help="the lane; without it, all lanes are shown")
        actions = parser.add_mutually_exclusive_group()
        actions.add_argument(
            "--pause", action="store_true", help="start no more jobs of the lane; running jobs continue"
        )
        actions.add_argument("--drain", action="store_true", help="pause the lane, and wait until no job of it runs")
        actions.add_argument("--resume", action="store_true", help="start jobs of the lane again")

    def handle(self, *args: Any, lane: str | None, pause: bool, drain: bool, resume: bool, **options: Any) -> None:
        if lane and (pause or drain):
            lanes.pause(lane)
        if lane and resume:
            lanes.resume(lane)
        if lane and drain:
            self._wait(lane)
        for name in [lane] if lane else LANES:
            found = lanes.overview(name)
            state = "paused" if found.paused else "active"
            self.stdout.write(
                f"{name}: {state}, {found.workers} workers, {found.running} running, {found.queued} queued"
            )

    def _wait(self, lane: str) -> None:
        running = None
        while left := lanes.overview(lane).running:
            if left != running:
                jobs = "1 job" if left == 1 else f"{left} jobs"
                self.stdout.write(f"Waiting for {jobs} of the lane {lane} to end.")
                running = left
            time.sleep(0.5)
