"""What a bad day does to a batch: housekeeping (it submits the jobs) or web (it takes the request) is killed."""

import contextlib
import json
import random
import time
import uuid
from http.client import HTTPException
from threading import Thread
from typing import Any

from tests.drill.faults import Fault
from tests.drill.stage import Broken, Stage
from tests.support.processes import children, kill
from tests.support.server import Answer

_FILES = 300  # their jobs are submitted in three transactions
_LONGEST = 0.2  # seconds: about as long as one of them takes
_PATIENCE = 300.0
_ANSWERED_WITHIN = 0.3  # seconds, mostly


def kill_housekeeping(stage: Stage, chance: random.Random) -> str:
    order = _order(stage)
    batch = _send(stage, order, "once").json()["id"]
    least, moment = chance.choice((0, 100, 200)), chance.uniform(0, _LONGEST)
    stage.wait_for(lambda: _of_jobs(stage, batch, "count(*)") >= least, f"{least} jobs to be submitted")
    time.sleep(moment)
    assert stage.housekeeping is not None
    submitted = _of_jobs(stage, batch, "count(*)")
    stage.hit = f"{moment:.2f} s after {least} jobs were submitted, with {submitted} of {_FILES}"
    kill(stage.housekeeping.pid)
    return _ended(stage, batch)


def kill_web(stage: Stage, chance: random.Random) -> str:
    """The client repeats its request, with the same Idempotency-Key."""
    order, key = _order(stage), uuid.uuid4().hex
    moment = chance.uniform(0, _ANSWERED_WITHIN)

    def send() -> None:
        with contextlib.suppress(OSError, HTTPException):  # the answer is lost with the server
            _send(stage, order, key)

    client = Thread(target=send)
    client.start()
    time.sleep(moment)
    stage.hit = f"{moment:.3f} s after the request was sent"
    kill(stage.server.pid, *children(stage.server.pid))
    client.join()
    stage.wait_for(lambda: not stage.server.is_running, "web to die")
    stage.revive()
    return _ended(stage, _send(stage, order, key).json()["id"])


def _order(stage: Stage) -> Any:
    """On files of equal content: one job works, and the others follow it."""
    file = stage.upload(stage.film)
    stage.server.call_by_name("tests.drill.in_server", "copy_file", file, _FILES - 1)
    sha256 = stage.server.get(f"/api/v1/files/{file}/", user="alice").json()["sha256"]
    return {"operation": "thumbnail", "filter": {"sha256": sha256}}


def _send(stage: Stage, order: Any, key: str) -> Answer:
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"{key} {order['filter']['sha256']}"}
    return stage.server.request("POST", "/api/v1/jobs/batch/", json.dumps(order).encode(), headers)


def _ended(stage: Stage, batch: str) -> str:
    """One of its jobs, once all have succeeded: one for each file."""

    def found() -> Any:
        stage.revive()
        return stage.server.get(f"/api/v1/jobs/batch/{batch}/", user="alice").json()

    stage.wait_for(lambda: found()["is_finished"], "the batch to end", _PATIENCE)
    counts, progress = found()["counts"], found()["progress"]
    files = _of_jobs(stage, batch, "count(DISTINCT file_id)")
    if (counts["total"], counts["jobs"]["succeeded"], files, progress) != (_FILES, _FILES, _FILES, 1):
        raise Broken(f"the batch ended with {counts} on {files} files, and the progress {progress}")
    return str(uuid.UUID(_of_jobs(stage, batch, "min(CAST(id AS text))")))


def _of_jobs(stage: Stage, batch: str, what: str) -> Any:
    jobs = f"media_jobs_job WHERE batch_id = {stage.quoted(batch)}"
    return stage.one(f"SELECT {what} FROM {jobs}")  # noqa: S608  # our own words


BATCH_FAULTS: dict[str, Fault] = {
    "kill -9 of housekeeping while it submits a batch": kill_housekeeping,
    "kill -9 of web while it takes a batch": kill_web,
}
