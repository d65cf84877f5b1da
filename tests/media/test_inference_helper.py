"""The inference helper: what it answers, when it is replaced, and that it never outlives its worker or its limits."""

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from media_jobs.errors import Cancelled, InferenceFailed, ResourceLimit, Stalled, UnfitMedia
from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.operations.base import Inference
from media_jobs.understanding.warm_helper import WarmHelper
from tests.support.counting_engine import engine
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

SUM = {"do": "sum"}


def new_helper() -> WarmHelper:
    return WarmHelper(lambda: Sandbox.probe("on", find("wheel").path))


@pytest.fixture
def helper() -> Iterator[WarmHelper]:
    made = new_helper()
    yield made
    made.end()


@pytest.fixture
def inference(helper: WarmHelper) -> Iterator[Inference]:
    with helper.lend("alice", 1, lambda: None) as lent:
        yield lent


def test_it_answers_requests_with_arrays_and_stays_warm(helper: WarmHelper, inference: Inference) -> None:
    large = np.ones((1000, 3000), np.int16)
    first = inference.ask(engine(), SUM, large, np.array([1.5, 2.5], np.float32))
    assert first == {"name": "first", "count": 1, "sums": [3_000_000, 4]}
    assert inference.ask(engine(), SUM)["count"] == 2
    with pytest.raises(UnfitMedia, match="This cannot be answered"):
        inference.ask(engine(), {"do": "refuse"})
    assert inference.ask(engine(), SUM)["count"] == 4


def test_another_owner_and_another_engine_get_a_new_process(helper: WarmHelper) -> None:
    pids = []
    for owner, name in (("alice", "a"), ("alice", "a"), ("alice", "b"), ("bob", "b")):
        with helper.lend(owner, 1, lambda: None) as lent:
            found = lent.ask(engine(name), SUM)
        pids.append(helper.pid)
        assert (found["name"], found["count"]) == (name, 2 if len(pids) == 2 else 1)
    assert len(set(pids)) == 3
    assert [is_alive(pid) for pid in pids if pid] == [False, False, False, True]


def test_it_is_replaced_after_many_requests_and_ends_when_idle(helper: WarmHelper) -> None:
    short_lived = replace(engine(), requests=2)
    with helper.lend("alice", 1, lambda: None) as lent:
        assert [lent.ask(short_lived, SUM)["count"] for _ in range(3)] == [1, 2, 1]
        pid = helper.pid
        helper.idle_seconds = 0
        helper.end_if_idle()  # a job has it
        assert helper.pid == pid
    helper.end_if_idle()
    assert pid is not None
    assert not is_alive(pid)
    assert helper.pid is None


@pytest.mark.parametrize(
    ("request_", "failure"),
    [("fail", InferenceFailed), ("end", InferenceFailed), ("use memory", ResourceLimit), ("sleep", Stalled)],
)
def test_one_that_fails_is_replaced(helper: WarmHelper, inference: Inference, request_: str, failure: type) -> None:
    timeout = 0.5 if request_ == "sleep" else 60.0
    with pytest.raises(failure) as caught:
        inference.ask(engine(), {"do": request_}, timeout=timeout)
    assert "secret" not in str(caught.value)
    assert inference.ask(engine(), SUM)["count"] == 1


def test_a_model_that_is_refused_says_why(inference: Inference) -> None:
    with pytest.raises(UnfitMedia, match="There is no such model"):
        inference.ask(engine("refused"), SUM)


def test_it_is_killed_when_the_job_is_cancelled(helper: WarmHelper) -> None:
    asked_at = float("inf")  # the first request may take its time

    def check() -> None:
        if helper.pid is not None and time.monotonic() > asked_at + 0.5:
            pids.append(helper.pid)
            raise Cancelled

    pids: list[int] = []
    with helper.lend("alice", 1, check) as lent:
        lent.ask(engine(), SUM)
        asked_at = time.monotonic()
        with pytest.raises(Cancelled):
            lent.ask(engine(), {"do": "sleep"})
    assert not is_alive(pids[0])
    assert helper.pid is None


def test_it_reaches_neither_files_of_others_nor_the_network(inference: Inference, tmp_path: Path) -> None:
    sandbox = Sandbox.probe("on", find("wheel").path)
    secret = tmp_path / "secret"
    secret.write_text("for others")
    found = inference.ask(engine(), {"do": "reach", "file": str(secret)})
    expected = [name for name, holds in (("file", sandbox.confines_files), ("network", sandbox.holds("no network")))
                if not holds]  # fmt: skip
    assert found == {"reached": expected, "offline": "1"}


def _worker(connection: Connection) -> None:
    helper = new_helper()
    with helper.lend("alice", 1, lambda: None) as lent:
        lent.ask(engine(), SUM)
        connection.send(helper.pid)
        lent.ask(engine(), {"do": "sleep"})


def test_it_dies_with_its_worker() -> None:
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_worker, args=(theirs,))
    worker.start()
    pid = ours.recv()
    assert is_alive(pid)
    worker.kill()
    worker.join()
    wait_until(lambda: not is_alive(pid))
