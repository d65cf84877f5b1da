"""What a bad day does to a job that runs, at a moment of chance; then the job must end as if nothing had been.

What a fault breaks it leaves broken: the stage starts processes again, and brokers and databases come back.
"""

import contextlib
import random
import shutil
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable

import psycopg

from tests.drill.stage import LEASE, Broken, Stage, kill, signalled
from tests.server import query
from uploads.steps import Step

# Told the stage and the source of chance; answers with the job that it was done to.
Fault = Callable[[Stage, random.Random], str]
PHASES = ("fetching", "working", "verifying", "storing")
AWAY = 30.0  # seconds that a database is away, or locked
LONGEST = 5.0  # about as long as the job runs
_TRIES = 10  # to meet a phase that is short


def kill_holder(stage: Stage, chance: random.Random) -> str:
    job = _running(stage, chance)
    kill(*filter(None, [stage.holder(job)]))
    return job


def kill_ffmpeg(stage: Stage, chance: random.Random) -> str:
    job = _running(stage, chance)
    kill(*stage.tools())
    return job


def kill_web_before_message(stage: Stage, chance: random.Random) -> str:
    """The row of the job is committed, and web dies before it can tell anybody."""
    before = _jobs(stage)
    stage.server.die_at(Step.QUEUED)
    with contextlib.suppress(OSError, ValueError, KeyError):  # its answer is lost with it
        stage.upload(stage.film)
    stage.wait_for(lambda: not stage.server.is_alive_at(), "web to die", 20)
    [job] = _jobs(stage) - before
    return job


def kill_housekeeping(stage: Stage, chance: random.Random) -> str:
    job = _running(stage, chance)
    assert stage.housekeeping is not None
    kill(stage.housekeeping.pid)
    return job


def kill_everything(stage: Stage, chance: random.Random) -> str:
    job = _running(stage, chance)
    kill(*stage.everything())
    return job


def lose_broker(stage: Stage, chance: random.Random) -> str:
    """Its files go while messages are on their way."""
    jobs = [stage.submit() for _ in range(3)]
    time.sleep(chance.uniform(0, 0.5))
    shutil.rmtree(stage.server.home / "broker", ignore_errors=True)
    for other in jobs[1:]:
        stage.finished(other)
    return jobs[0]


def freeze_holder(stage: Stage, chance: random.Random) -> str:
    """SIGSTOP of the lease's holder until others have taken over, then SIGCONT."""
    return _freeze(stage, chance, lambda job: [stage.holder(job)])


def freeze_holder_and_ffmpeg(stage: Stage, chance: random.Random) -> str:
    return _freeze(stage, chance, lambda job: [stage.holder(job), *stage.tools()])


def take_database_away(stage: Stage, chance: random.Random) -> str:
    """Locked by somebody else (SQLite), or restarted: everybody cut off, and nobody let in for a while."""
    job = _running(stage, chance)
    if stage.server.database_url:
        _shut_out(stage.server.database_url)
    else:
        _lock_up(stage)
    return job


def cancel_in(phase: str) -> Fault:
    """Cancel when the row says that it is in this phase: in two seconds it is cancelled, and nothing of it left."""

    def cancel(stage: Stage, chance: random.Random) -> str:
        for _ in range(_TRIES):
            job = stage.submit("audio", {"format": "wav"}, stage.recording)
            if not stage.meets(job, phase):
                continue
            time.sleep(chance.uniform(0, 0.1))
            attempt = stage.attempt(job)
            if attempt and stage.cancel(job):
                stage.check_gone(job, attempt, 2)
                return job
        raise Broken(f"it was never seen {phase}")

    return cancel


FAULTS: dict[str, Fault] = {
    "kill -9 of the process that holds the lease": kill_holder,
    "kill -9 of ffmpeg alone": kill_ffmpeg,
    "kill -9 of web between commit and message": kill_web_before_message,
    "kill -9 of housekeeping": kill_housekeeping,
    "kill -9 of the whole tree": kill_everything,
    "the broker's files removed": lose_broker,
    "SIGSTOP of the holder past expiry, then SIGCONT": freeze_holder,
    "SIGSTOP of the holder with its ffmpeg, then SIGCONT": freeze_holder_and_ffmpeg,
    f"the database away for {AWAY:.0f} s": take_database_away,
}
CANCELS: dict[str, Fault] = {f"cancelled while {phase}": cancel_in(phase) for phase in PHASES}


def _running(stage: Stage, chance: random.Random) -> str:
    """A job that has run for a while, and may have ended."""
    job = stage.submit()
    stage.wait_for(lambda: stage.job(job)["status"] != "queued", "the job to start")
    time.sleep(chance.uniform(0, LONGEST))
    return job


def _jobs(stage: Stage) -> set[str]:
    return {str(uuid.UUID(str(row))) for (row,) in query(stage.server, "SELECT id FROM media_jobs_job")}


def _freeze(stage: Stage, chance: random.Random, choose: Callable[[str], list[int]]) -> str:
    job = _running(stage, chance)
    frozen = [pid for pid in choose(job) if pid]
    with signalled(frozen, signal.SIGSTOP, signal.SIGCONT):
        # Past the expiry, the second look, and the beginning of the next attempt.
        time.sleep(LEASE + 4 + chance.uniform(0, 3))
    return job


def _lock_up(stage: Stage) -> None:
    [path] = stage.server.home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(AWAY)
        database.execute("ROLLBACK")


def _shut_out(database_url: str) -> None:
    base, _, name = database_url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            time.sleep(AWAY)
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
