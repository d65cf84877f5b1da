import time
from argparse import ArgumentParser
from typing import Any

from uploads.management.terminal_command import TerminalCommand

from ...operations.base import LANES
from ...queue import lanes


class Command(TerminalCommand):
    help = (
        "Show the lanes in which jobs queue. Pause one before work on the machine; drain it to wait until it is idle."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("lane", nargs="?", choices=LANES, help="the lane to act on; all are shown without")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--pause", action="store_true", help="start none of its jobs; what runs goes on")
        what.add_argument("--drain", action="store_true", help="pause it, and wait until nothing runs in it")
        what.add_argument("--resume", action="store_true", help="start its jobs again")

    def handle(self, *args: Any, lane: str | None, pause: bool, drain: bool, resume: bool, **options: Any) -> None:
        if lane and (pause or drain):
            lanes.pause(lane)
        if lane and resume:
            lanes.resume(lane)
        if lane and drain:
            self._wait(lane)
        for name in [lane] if lane else LANES:
            found = lanes.overview(name)
            state = "paused" if found.paused else "open"
            self.stdout.write(
                f"{name}: {state}, {found.workers} workers, {found.running} running, {found.queued} queued"
            )

    def _wait(self, lane: str) -> None:
        running = None
        while left := lanes.overview(lane).running:
            if left != running:
                self.stdout.write(f"{left} of its jobs still run.")
                running = left
            time.sleep(0.5)
