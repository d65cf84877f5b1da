"""Each fault of `make drill` once, at a moment of chance; and what workers leave when they are told to stop."""

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.drill import faults
from tests.drill.faults import CANCELS, FAULTS
from tests.drill.stage import Stage, staged
from tests.support.processes import stopped_at_work

pytestmark = pytest.mark.local_disk  # the drill compares the files of the disk with the rows
SEED = random.randrange(10**6)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder, database = tmp_path_factory.mktemp("stage"), os.environ.get("DATABASE_URL", "")
    # One thread works long enough on a short film, and leaves a core to other tests.
    with staged(folder, database, seconds=2, JOB_THREADS="1") as made:
        yield made


@pytest.mark.parametrize("name", FAULTS | CANCELS)
def test_a_job_ends_as_it_should_whatever_happens(name: str, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "AWAY", 6.0)
    monkeypatch.setattr(faults, "LONGEST", 1.0)
    monkeypatch.setattr(faults, "AT_ONCE", 8.0)  # a promise of 2 s, on a machine that is busy with tests
    chance = random.Random(f"{SEED} {name} 1")
    print(f"seed {SEED}")  # noqa: T201  # pytest shows it when this fails
    fault = (FAULTS | CANCELS)[name]
    stage.hit = ""
    stage.check_ended(fault(stage, chance), "cancelled" if name in CANCELS else "succeeded")
    assert stage.hit


def test_another_stage_may_be_in_the_same_folder(stage: Stage) -> None:
    """Faults of two stages may have one name, as in `--only "kill -9 of the whole tree"`."""
    folder, database = stage.server.home.parent.parent, os.environ.get("DATABASE_URL", "")
    with staged(folder, database, seconds=1, lanes=("quick",)) as other:
        assert other.server.home != stage.server.home
        other.upload(other.film)
        assert other.one("SELECT count(*) FROM uploads_mediafile") == 1


def test_a_worker_that_is_told_to_stop_gives_its_job_back_and_is_gone(stage: Stage) -> None:
    job = stage.submit()
    with stopped_at_work(stage.server.home / "work", lambda: stage.job(job)["progress"] > 0):
        holder = stage.holder(job)
        process = next(process for _, process in stage.workers if process.pid == holder)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    # A deploy costs seconds of work: no lease had to expire, and no attempt was counted.
    assert "queued (its worker stopped) → running (attempt 1)" in stage.check_ended(job)


def test_a_paused_lane_starts_nothing_and_a_drained_one_is_waited_for(stage: Stage) -> None:
    running = stage.submit()
    with stopped_at_work(stage.server.home / "work"):
        drain = stage.server.run_beside("lane", "heavy", "--drain")
        waits = "Waiting for 1 job of the lane heavy to end."
        stage.wait_for(lambda: waits in stage.server.log, "the command to wait for the job")
    drain.wait(60)
    assert "heavy: paused, 2 workers, 0 running, 0 queued" in stage.server.log
    assert stage.job(running)["status"] == "succeeded"
    waiting = stage.submit()
    time.sleep(2)
    assert stage.job(waiting)["status"] == "queued"
    assert stage.job(waiting)["waiting_for"] == "The lane heavy, which is paused."
    stage.server.manage("lane", "heavy", "--resume")
    stage.check_ended(waiting)


def test_a_quick_job_starts_before_a_heavy_one_that_waits_for_a_slot(stage: Stage) -> None:
    file, *others = [stage.upload(stage.film) for _ in range(4)]
    unfinished = "SELECT count(*) FROM media_jobs_job WHERE finished_at IS NULL"
    stage.wait_for(lambda: not stage.one(unfinished), "inspect")
    heavy = [stage.order(other) for other in others]
    running = "SELECT count(*) FROM media_jobs_job WHERE status = 'running'"
    with stopped_at_work(stage.server.home / "work", lambda: stage.one(running) >= 2):
        quick = stage.order(file, "thumbnail", {"width": 64})
        stage.finished(quick)
    for job in (quick, *heavy):
        stage.check_ended(job)
    assert stage.job(quick)["started_at"] < max(stage.job(job)["started_at"] for job in heavy)
