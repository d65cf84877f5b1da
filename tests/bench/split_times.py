"""Where the time of a split encode goes: to split, to the parts, to slots that wait between them, and to join."""

import threading
import uuid
from dataclasses import dataclass, field

from .jobs_live import Stage, Submitted

_LOOK_EVERY = 0.2  # less than it takes to join them
SLOTS = 2


@dataclass(frozen=True)
class SplitTimes:
    """Seconds, by the database's clock."""

    split: float  # from queued to the start of the first part
    between: float  # from the end of a part to the claim of the next, the mean of all
    alone: float  # from the first slot that finds no other part to the end of the last part
    join: float  # from the end of the last part on


@dataclass
class PartsWatch:
    """Reads the rows of the parts while they are there: they go when the job has ended."""

    stage: Stage
    job: Submitted
    _seen: dict[int, tuple[float, float]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "PartsWatch":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        named = f"parent_id = '{uuid.UUID(self.job.id).hex}' AND started_at IS NOT NULL AND finished_at IS NOT NULL"
        times = "number, julianday(started_at) * 86400, julianday(finished_at) * 86400"
        for number, started, finished in self.stage.ask(f"SELECT {times} FROM media_jobs_job WHERE {named}"):  # noqa: S608
            self._seen[number] = started, finished

    def times(self) -> list[SplitTimes]:
        """Empty: it was not split."""
        if not self._seen:
            return []
        queued, ended = (self._moment(self.job, what) for what in ("queued_at", "finished_at"))
        begins = sorted(begin for begin, _ in self._seen.values())
        ends = sorted(end for _, end in self._seen.values())
        # Each claim but the first ones follows the end of a part: all slots take the next as soon as they are free.
        waits = [begin - end for begin, end in zip(begins[SLOTS:], ends, strict=False)]
        between = sum(waits) / len(waits) if waits else 0.0
        return [SplitTimes(begins[0] - queued, between, ends[-1] - ends[-SLOTS], ended - ends[-1])]

    def _moment(self, job: Submitted, what: str) -> float:
        return float(self.stage.column(job, f"julianday({what}) * 86400"))
