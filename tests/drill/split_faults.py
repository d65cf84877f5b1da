"""What a bad day does to a split encode: to its parent, to its parts, and to those who cancel fifty of them."""

import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.jobs_live import make
from tests.drill.faults import Fault
from tests.drill.stage import Broken, Stage
from tests.support.processes import kill
from tests.support.server import query

SECONDS = 64  # of the film: several parts, and the sound
SETTINGS = {"SPLIT_AFTER": "20s", "JOB_THREADS": "1"}
LANES = ("quick", "bulk", "heavy", "heavy")
_HLS = {"heights": [48, 64]}
_MANY = 50
_CANCELLED_WITHIN = 2.0
_PATIENCE = 300.0  # all parts are encoded while it waits, some of them twice
_PIECE = re.compile(r"(\w+)\.(\d+)-(\d+)\.mp4")  # segments of a rendition
_CHANCES = 20  # to meet a job while it runs


def kill_of_a_part(stage: Stage, chance: random.Random) -> str:
    """The worker of one part is killed: that part is encoded again, and nothing else."""
    return _kill(stage, chance, _holders_of_parts, 1)


def kill_of_an_hls_part(stage: Stage, chance: random.Random) -> str:
    """The worker of a run of segments is killed: that run goes on after its last checkpoint, and nothing else."""
    return _kill(stage, chance, _holders_of_parts, 1, operation="hls", params=_HLS)


def kill_of_hls(stage: Stage, chance: random.Random) -> str:
    """The workers of the parent and of all parts are killed."""

    def find(stage: Stage, job: str) -> list[int]:
        return [*_holders_of_parts(stage, job), *([holder] if (holder := stage.holder(job)) else [])]

    return _kill(stage, chance, find, 2, operation="hls", params=_HLS)


def kill_of_both(stage: Stage, chance: random.Random) -> str:
    """Both workers are killed at once."""
    return _kill(stage, chance, _holders_of_parts, 2)


def kill_of_the_tree(stage: Stage, chance: random.Random) -> str:
    return _kill(stage, chance, lambda stage, _: stage.everything(), 2, whom="the whole tree")


def kill_of_the_join(stage: Stage, chance: random.Random) -> str:
    """The worker of the parent is killed, while it splits or joins: no part is encoded again."""
    for _ in range(_CHANCES):
        job = stage.submit()
        watch = _Watch(stage, job)
        if chance.random() < 0.8:
            watch.until(watch.are_all_ready)
        watch.until(watch.is_held_or_over)
        time.sleep(chance.uniform(0, 0.4))
        if holder := stage.holder(job):
            stage.hit = f"process {holder}, with {watch.finished_parts()} of {len(watch.parts)} parts ready"
            kill(holder)
            return watch.to_the_end(0)
        stage.finished(job)
    raise Broken("the parent was never caught running")


def cancel_of_many(stage: Stage, chance: random.Random) -> str:
    """With fifty parts, of which some are ready and two are being encoded."""
    film = _long_film(stage.server.home)
    job = stage.submit(source=film, params={"height": 64})
    watch = _Watch(stage, job)
    watch.until(lambda: watch.finished_parts() >= 1)
    time.sleep(chance.uniform(0, 0.5))
    if len(watch.parts) < _MANY:
        raise Broken(f"there are only {len(watch.parts)} parts")
    began = time.monotonic()
    stage.cancel(job)
    stage.wait_for(lambda: stage.job(job)["status"] == "cancelled" and not _rows(stage, job), "the parts to be gone")
    stage.wait_for(lambda: not stage.tools(), "ffmpeg to be gone")
    took = time.monotonic() - began
    stage.hit = f"{len(watch.parts)} parts, {watch.finished_parts()} ready: gone after {took:.2f} s"
    if took > _CANCELLED_WITHIN:
        raise Broken(stage.hit)
    return job


SPLIT_FAULTS: dict[str, Fault] = {
    "split: kill -9 of the worker of a part": kill_of_a_part,
    "split: kill -9 of both workers": kill_of_both,
    "split: kill -9 of the worker of an hls run": kill_of_an_hls_part,
    "split: kill -9 of all workers of hls": kill_of_hls,
    "split: kill -9 of the whole tree": kill_of_the_tree,
    "split: kill -9 of who splits or joins": kill_of_the_join,
}
SPLIT_CANCELS: dict[str, Fault] = {"split: cancelled with fifty parts": cancel_of_many}


class _Watch:
    """The parts of a job, as they were seen at any time: the rows are gone when the job has ended."""

    def __init__(self, stage: Stage, job: str) -> None:
        self.stage, self.job = stage, job
        self.parts: dict[int, str] = {}
        self.lost: Counter[str] = Counter()  # the attempts of each part, by its id, that were lost
        self.pieces: set[tuple[str, int, int]] = set()  # of hls: the segments that are finished, by their rendition

    def look(self) -> None:
        for child, number, status, attempts in _rows(self.stage, self.job):
            self.parts[number] = status
            self.lost[child] = max(self.lost[child], attempts)
        self.pieces |= set(_pieces(self.stage))

    def finished_parts(self) -> int:
        return sum(status == "succeeded" for status in self.parts.values())

    def are_all_ready(self) -> bool:
        return 0 < self.finished_parts() == len(self.parts)

    def is_held_or_over(self) -> bool:
        return bool(self.stage.holder(self.job)) or not _is_unfinished(self.stage, self.job)

    def is_begun(self) -> bool:
        return "running" in self.parts.values()

    def until(self, happened: Callable[[], object]) -> None:
        def looked() -> object:
            self.look()
            return happened()

        self.stage.wait_for(looked, f"job {self.job} to go on", _PATIENCE)

    def to_the_end(self, most: int) -> str:
        """Wait for the end of the job. At most this number of parts may have been encoded twice."""

        def over() -> object:
            self.stage.revive()
            return not _is_unfinished(self.stage, self.job)

        self.until(over)
        late = {child: self.stage.server.log.count(_lost_by_the_living(child)) for child in self.lost}
        again = sum(max(0, lost - late[child]) for child, lost in self.lost.items())
        self.stage.hit += f"; {again} of {len(self.parts)} parts begun again"
        if any(late.values()):  # on a busy machine
            self.stage.hit += f", {sum(late.values())} more as their living workers renewed their leases too late"
        if again > most:
            raise Broken(self.stage.hit)
        if twice := [after for before, after in pairwise(sorted(self.pieces)) if _overlap(before, after)]:
            raise Broken(f"{self.stage.hit}; finished segments encoded again: {twice}")
        check_no_orphan(self.stage)
        return self.job


def check_no_orphan(stage: Stage) -> None:
    """When a job has ended, nothing is left of its parts."""
    if left := stage.one("SELECT count(*) FROM media_jobs_job WHERE parent_id IS NOT NULL"):
        raise Broken(f"{left} parts are left")
    if left := stage.one("SELECT count(*) FROM media_jobs_scratchblob"):
        raise Broken(f"the outputs of {left} parts are left")


def _kill(
    stage: Stage,
    chance: random.Random,
    find: Callable[[Stage, str], list[int]],
    most: int,
    whom: str = "",
    **order: Any,
) -> str:
    moment = chance.uniform(0, 8)
    for _ in range(_CHANCES):
        job = stage.submit(**order)
        watch = _Watch(stage, job)
        watch.until(watch.is_begun)
        time.sleep(moment)
        watch.look()
        targets = find(stage, job)[: None if whom else most]
        if targets and watch.is_begun():
            stage.hit = (
                f"{moment:.2f} s after the first part began, {watch.finished_parts()} of {len(watch.parts)} ready: "
                f"{whom or ', '.join(map(str, targets))}"
            )
            kill(*targets)
            return watch.to_the_end(most)
        stage.finished(job)
        moment *= 0.7
    raise Broken("no part was ever caught running")


def _holders_of_parts(stage: Stage, job: str) -> list[int]:
    named = f"j.status = 'running' AND j.parent_id = {stage.quoted(job)}"
    workers = "media_jobs_job j JOIN media_jobs_worker w ON w.id = j.worker_id"
    rows = query(stage.server, f"SELECT w.pid FROM {workers} WHERE {named}")  # noqa: S608  # our own words
    return [int(pid) for (pid,) in rows]


def _rows(stage: Stage, job: str) -> list[tuple[str, int, str, int]]:
    rows = query(
        stage.server,
        f"SELECT id, number, status, attempts FROM media_jobs_job WHERE parent_id = {stage.quoted(job)}",  # noqa: S608
    )
    return [(str(uuid.UUID(str(child))), *rest) for child, *rest in rows]


def _lost_by_the_living(child: str) -> str:
    """What a worker logs that learns that another one has its part. One that was killed logs nothing."""
    return f'"job": "{child}", "event": "lease_lost"'


def _pieces(stage: Stage) -> Iterator[tuple[str, int, int]]:
    for (name,) in query(stage.server, "SELECT name FROM media_jobs_scratchblob"):
        if found := _PIECE.fullmatch(str(name)):
            yield found[1], int(found[2]), int(found[3])


def _overlap(before: tuple[str, int, int], after: tuple[str, int, int]) -> bool:
    return before[0] == after[0] and after[1] < before[2]


def _is_unfinished(stage: Stage, job: str) -> bool:
    named = f"id = {stage.quoted(job)} AND finished_at IS NULL"
    return bool(stage.one(f"SELECT count(*) FROM media_jobs_job WHERE {named}"))  # noqa: S608  # our own words


def _long_film(folder: Path) -> bytes:
    """Fifty minutes and more, by copying a short one."""
    path = folder / "long.mp4"
    if not path.exists():
        picture = ("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10:duration=20", "-pix_fmt", "yuv420p")
        short = make(folder / "short.mp4", *picture, "-g", "50", "-crf", "40")
        make(path, "-stream_loop", str(_MANY * 60 // 20 + 5), "-i", str(short), "-c", "copy")
    return path.read_bytes()
