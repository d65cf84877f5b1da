"""Housekeeping and the web server are killed in the middle of a batch: no job is made twice, and none is lost."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from threading import Thread
from typing import Any

import pytest

from tests.support.in_server import jobs as in_server
from tests.support.repetitions import MORE
from tests.support.running_servers import running
from tests.support.server import Answer, Server, Template, query
from tests.support.waiting import wait_until

FILES = 300  # three transactions submit their jobs
FAILED = 60  # three transactions retry them
KILLS = 2 * MORE
BATCHES = "/api/v1/jobs/batch/"
SOON = 120


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without a worker: jobs stay as they are submitted, cancelled and retried."""
    with running(template, tmp_path_factory) as server:
        server.call(in_server.make_files, "alice", FILES)
        yield server


def ask(server: Server, path: str, said: object = None, **headers: str) -> Answer:
    body = b"" if said is None else json.dumps(said).encode()
    return server.request("POST", BATCHES + path, body, {"Content-Type": "application/json", **headers})


def asked_through_kills(server: Server, send: Callable[[], Answer]) -> Answer:
    """The answer to a request that is repeated after each kill -9 of the web server, which comes at any moment."""

    def send_once() -> None:
        with suppress(OSError, HTTPException):  # the answer is lost with the server
            send()

    for _ in range(KILLS):
        client = Thread(target=send_once)
        client.start()
        time.sleep(random.uniform(0, 0.3))  # a moment of chance
        os.killpg(server.pid, signal.SIGKILL)
        client.join()
        server.restart()
    return send()


def kill_housekeeping_in_the_middle(server: Server, done: Callable[[], int]) -> None:
    """As soon as some of the work is done. It may have been the last."""
    before, housekeeping = done(), server.run_beside("housekeeping")
    wait_until(lambda: done() > before or not is_pending(server), SOON, lambda: server.log[-3000:])
    os.killpg(housekeeping.pid, signal.SIGKILL)
    housekeeping.wait()
    server.helpers.remove(housekeeping)


def carry_out(server: Server, batch: str, done: Callable[[], int]) -> dict[str, Any]:
    """Housekeeping does the work, and is killed several times. Returns the batch when nothing is left to do."""
    for _ in range(KILLS):
        if is_pending(server):
            kill_housekeeping_in_the_middle(server, done)
    housekeeping = server.run_beside("housekeeping")
    wait_until(lambda: not is_pending(server), SOON, lambda: server.log[-3000:])
    os.killpg(housekeeping.pid, signal.SIGKILL)
    housekeeping.wait()
    server.helpers.remove(housekeeping)
    found: dict[str, Any] = server.get(f"{BATCHES}{batch}/", user="alice").json()
    return found


def is_pending(server: Server) -> bool:
    return bool(query(server, "SELECT 1 FROM media_jobs_batch WHERE is_pending"))


def jobs(server: Server, status: str) -> Callable[[], int]:
    return lambda: int(query(server, f"SELECT count(*) FROM media_jobs_job WHERE status = '{status}'")[0][0])  # noqa: S608


def test_every_file_gets_one_job_and_every_failed_job_one_more_attempt(server: Server) -> None:
    order = {"operation": "thumbnail", "filter": {}}
    made = asked_through_kills(server, lambda: ask(server, "", order, **{"Idempotency-Key": "once"})).json()
    assert len(server.get(BATCHES, user="alice").json()["results"]) == 1
    found = carry_out(server, made["id"], jobs(server, "queued"))
    assert (found["counts"]["jobs"]["queued"], found["counts"]["waiting"], found["counts"]["deleted"]) == (
        FILES,
        0,
        0,
    )
    assert (found["progress"], found["is_finished"]) == (0, False)
    once = {"jobs": FILES, "files": FILES, "pasts": {"queued": FILES}}
    assert server.call(in_server.pasts_of_batch, made["id"]) == once
    server.call(in_server.fail_batch, made["id"], FAILED)
    assert asked_through_kills(server, lambda: ask(server, f"{made['id']}/retry/")).status == 200
    found = carry_out(server, made["id"], jobs(server, "queued"))
    assert (found["counts"]["jobs"]["queued"], found["counts"]["jobs"]["failed"]) == (FILES, 0)
    assert server.call(in_server.pasts_of_batch, made["id"]) == once | {
        "pasts": {"queued": FILES - FAILED, "queued queued": FAILED}
    }
    server.call(in_server.fail_batch, made["id"], FILES)


def test_a_cancelled_batch_is_cancelled_to_its_last_job_and_file(server: Server) -> None:
    made = ask(server, "", {"operation": "transcode", "filter": {}}).json()
    for _ in range(KILLS):
        kill_housekeeping_in_the_middle(server, jobs(server, "queued"))
    assert asked_through_kills(server, lambda: ask(server, f"{made['id']}/cancel/")).status == 200
    found = carry_out(server, made["id"], jobs(server, "cancelled"))
    cancelled = found["counts"]["jobs"]["cancelled"]
    assert cancelled > 0
    assert (found["counts"]["skipped"], found["counts"]["deleted"]) == (FILES - cancelled, 0)
    assert (found["progress"], found["is_finished"]) == (1, True)
    pasts = {"jobs": cancelled, "files": cancelled, "pasts": {"queued cancelled": cancelled}}
    assert server.call(in_server.pasts_of_batch, made["id"]) == pasts
