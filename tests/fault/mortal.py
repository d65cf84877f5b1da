"""A server that dies when it is told to."""

import subprocess
import sys

from tests.fault.killing import KILL_AT, STEPS_LOG
from tests.server import ROOT, Server
from uploads.steps import Step


class MortalServer(Server):
    """With its housekeeping beside it, unless it is told to be alone."""

    alone = False
    housekeeping: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        orders = {KILL_AT: str(self.home / "kill-at"), STEPS_LOG: str(self.home / "steps")}
        return super().environment | orders

    def die_at(self, step: Step) -> None:
        (self.home / "kill-at").write_text(step)

    def is_alive_at(self) -> bool:
        """Whether the order to die was never carried out."""
        return (self.home / "kill-at").exists()

    def steps(self) -> list[str]:
        """What was reached since this was last asked."""
        diary = self.home / "steps"
        lines = diary.read_text().splitlines() if diary.exists() else []
        diary.unlink(missing_ok=True)
        times = [float(line.split()[0]) for line in lines]
        assert times == sorted(times)
        return [line.split()[1] for line in lines]

    def start(self) -> None:
        super().start()
        if self.alone:
            return
        self.housekeeping = subprocess.Popen(
            [sys.executable, "manage.py", "housekeeping"], cwd=ROOT, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self) -> None:
        if self.housekeeping is not None:
            self.housekeeping.kill()
            self.housekeeping.wait()
            self.housekeeping = None
        super().kill()

    def restart(self) -> None:
        self.kill()
        self.start()
