"""A server that dies when it is told to."""

from tests.support.gunicorn_configs.killed_at_a_step import KILL_AT, STEPS_LOG
from tests.support.server import Server
from uploads.sinks.crash_points import Step


class MortalServer(Server):
    """With its housekeeping beside it, unless it is told to be alone."""

    alone = False

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
        if not self.alone:
            self.run_beside("housekeeping")

    def restart(self) -> None:
        self.kill()
        self.start()
