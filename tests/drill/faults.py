"""What a bad day does to a job that runs, at a moment of chance; then the job must end as if nothing had been.

What a fault breaks it leaves broken: the stage starts processes again, and brokers and databases come back.
"""

import contextlib
import random
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable

import psycopg

from tests.drill.cluster import MODES, Cluster
from tests.drill.stage import LEASE, Broken, Stage
from tests.support.failing_brokers import lose_everything
from tests.support.processes import kill, signalled
from tests.support.server import query
from uploads.sinks.crash_points import Step

# Told the stage and the source of chance; answers with the job that it was done to.
Fault = Callable[[Stage, random.Random], str]
PHASES = ("fetching", "working", "verifying", "storing")
AWAY = 30.0  # seconds that a database is away, or locked
LONGEST = 5.0  # about as long as the job runs
AT_ONCE = 2.0  # seconds that a cancel may take
_TRIES = 20  # to meet a phase that is short


def kill_holder(stage: Stage, chance: random.Random) -> str:
    job, holder = _running(stage, chance, _holder)
    kill(*holder)
    return job


def kill_ffmpeg(stage: Stage, chance: random.Random) -> str:
    job, tools = _running(stage, chance, _tools)
    kill(*tools)
    return job


def kill_web_before_message(stage: Stage, chance: random.Random) -> str:
    """The row of the job is committed, and web dies before it can tell anybody."""
    before = _jobs(stage)
    stage.server.die_at(Step.QUEUED)
    stage.hit = "once its row was there, and nobody told of it"
    with contextlib.suppress(OSError, ValueError, KeyError):  # its answer is lost with it
        stage.upload(stage.film)
    stage.wait_for(lambda: not stage.server.is_alive_at(), "web to die", 20)
    [job] = _jobs(stage) - before
    return job


def kill_housekeeping(stage: Stage, chance: random.Random) -> str:
    job, housekeeping = _running(
        stage, chance, lambda stage, _: [stage.housekeeping.pid] if stage.housekeeping else []
    )
    kill(*housekeeping)
    return job


def kill_everything(stage: Stage, chance: random.Random) -> str:
    job, everything = _running(stage, chance, lambda stage, _: stage.everything())
    kill(*everything)
    return job


def lose_broker(stage: Stage, chance: random.Random) -> str:
    """Its files, keys or queues go while messages are on their way."""
    jobs = [stage.submit() for _ in range(3)]
    moment = chance.uniform(0, 0.5)
    time.sleep(moment)
    states = ", ".join(str(stage.job(job)["status"]) for job in jobs)
    stage.hit = f"{moment:.2f} s after three were submitted: {states}"
    lose_everything(stage.server)
    for other in jobs[1:]:
        stage.finished(other)
    return jobs[0]


def freeze_holder(stage: Stage, chance: random.Random) -> str:
    """SIGSTOP of the lease's holder until others have taken over, then SIGCONT."""
    return _freeze(stage, chance, _holder)


def freeze_holder_and_ffmpeg(stage: Stage, chance: random.Random) -> str:
    def both(stage: Stage, job: str) -> list[int]:
        tools = _tools(stage, job)
        return tools and [*_holder(stage, job), *tools]

    return _freeze(stage, chance, both)


def take_database_away(stage: Stage, chance: random.Random) -> str:
    """Locked by somebody else (SQLite), or stopped and started again: at once, or after a while."""
    job, _ = _running(stage, chance, _holder)
    if stage.cluster is not None:
        _restart(stage, stage.cluster, chance)
    elif stage.server.database_url:
        _shut_out(stage)
    else:
        _lock_up(stage)
    return job


def cancel_in(phase: str) -> Fault:
    """Cancel when the row says that it is in this phase: at once it is cancelled, and nothing of it left."""

    def cancel(stage: Stage, chance: random.Random) -> str:
        moment = chance.uniform(0, 0.1)
        for _ in range(_TRIES):
            job = stage.submit("audio", {"format": "wav"}, stage.recording)
            if stage.meets(job, phase):
                time.sleep(moment)
                attempt, (now, holder) = stage.attempt(job), stage.where(job)
                if now == phase and attempt and stage.cancel(job):
                    stage.hit = f"{moment:.3f} s after it was seen {phase}, held by process {holder}"
                    stage.check_gone(job, attempt, AT_ONCE)
                    return job
                moment /= 2
            stage.finished(job)
        raise Broken(f"it was never seen {phase}")

    return cancel


FAULTS: dict[str, Fault] = {
    "kill -9 of the process that holds the lease": kill_holder,
    "kill -9 of ffmpeg alone": kill_ffmpeg,
    "kill -9 of web between commit and message": kill_web_before_message,
    "kill -9 of housekeeping": kill_housekeeping,
    "kill -9 of the whole tree": kill_everything,
    "the broker's files, keys or queues removed": lose_broker,
    "SIGSTOP of the holder past expiry, then SIGCONT": freeze_holder,
    "SIGSTOP of the holder with its ffmpeg, then SIGCONT": freeze_holder_and_ffmpeg,
    f"the database locked for {AWAY:.0f} s, or restarted": take_database_away,
}
CANCELS: dict[str, Fault] = {f"cancelled while {phase}": cancel_in(phase) for phase in PHASES}


def _running(stage: Stage, chance: random.Random, whom: Callable[[Stage, str], list[int]]) -> tuple[str, list[int]]:
    """A job that has run for a while and goes on running, and the processes to hurt, which are alive."""
    moment = chance.uniform(0, LONGEST)
    for _ in range(_TRIES):
        job = stage.submit()
        stage.wait_for(lambda job=job: stage.job(job)["status"] != "queued", "the job to start")  # type: ignore[misc]
        time.sleep(moment)
        targets = whom(stage, job)
        phase, holder = stage.where(job)
        if targets and holder:
            stage.hit = f"{moment:.2f} s after its start, {phase}, held by process {holder}: {_named(targets)}"
            return job, targets
        stage.finished(job)
        moment *= 0.7  # it had ended, or its ffmpeg had: sooner, then
    raise Broken("it was never caught running")


def _named(targets: list[int]) -> str:
    return f"{len(targets)} processes" if len(targets) > 3 else ", ".join(map(str, targets))


def _holder(stage: Stage, job: str) -> list[int]:
    return [holder for _, holder in [stage.where(job)] if holder]


def _tools(stage: Stage, job: str) -> list[int]:
    attempt = stage.attempt(job)
    return stage.tools(attempt) if attempt else []


def _jobs(stage: Stage) -> set[str]:
    return {str(uuid.UUID(str(row))) for (row,) in query(stage.server, "SELECT id FROM media_jobs_job")}


def _freeze(stage: Stage, chance: random.Random, whom: Callable[[Stage, str], list[int]]) -> str:
    job, targets = _running(stage, chance, whom)
    with signalled(targets, signal.SIGSTOP, signal.SIGCONT):
        # Past the expiry, the second look, and the beginning of the next attempt.
        time.sleep(LEASE + 4 + chance.uniform(0, 3))
    return job


def _lock_up(stage: Stage) -> None:
    [path] = stage.server.home.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(AWAY)
        database.execute("ROLLBACK")


def _restart(stage: Stage, cluster: Cluster, chance: random.Random) -> None:
    mode, away = chance.choice(MODES), chance.choice((0.0, AWAY))
    stage.hit += f"; PostgreSQL stopped ({mode}), and started after {away:.0f} s"
    cluster.stop(mode)
    time.sleep(away)
    cluster.start()


def _shut_out(stage: Stage) -> None:
    """What we can do to a server that is not ours to stop: everybody is cut off, and nobody let in for a while."""
    stage.hit += "; PostgreSQL is not ours: everybody was cut off instead, and kept out"
    base, _, name = stage.server.database_url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            time.sleep(AWAY)
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
