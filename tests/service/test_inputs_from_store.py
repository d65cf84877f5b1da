"""Workers whose inputs and outputs are in an S3 bucket: fetched once, stopped at once, and nothing is left behind."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import different_copy
from tests.support.job_requests import ended, submit
from tests.support.object_store import ObjectStore
from tests.support.preloaded_processes import AnyProcess
from tests.support.recording_relay import RecordingRelay
from tests.support.running_servers import running
from tests.support.server import Server, Template
from tests.support.waiting import wait_until

LANE = "heavy"
LONG = 90  # seconds, on a busy machine


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore, relay: RecordingRelay
) -> Iterator[Server]:
    """The server reaches the store by itself, its workers through the relay."""
    with running(template, tmp_path_factory, store=object_store, LEASE="4s", JOB_THREADS="1") as server:
        server.variables["AWS_ENDPOINT_URL_S3"] = relay.url
        yield server


@pytest.fixture
def start_worker(server: Server, relay: RecordingRelay) -> Iterator[Callable[..., AnyProcess]]:
    """Workers of this test alone. They end with it, and what they fetched."""
    before = dict(server.settings)

    def start(**settings: str) -> AnyProcess:
        server.settings.update(settings)
        return server.start_worker(LANE)

    yield start
    relay.release()
    server.settings.clear()
    server.settings.update(before)
    for helper in server.helpers:
        with suppress(ProcessLookupError):
            os.killpg(helper.pid, signal.SIGKILL)
        helper.wait()
    server.helpers.clear()


def fetched(server: Server) -> dict[str, Path]:
    return {path.name: path for path in (server.home / "inputs").glob("*/*") if path.name != "lock"}


def job_now(server: Server, job: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
    return found


def content_path(server: Server) -> str:
    bucket = server.settings["STORAGE"].split("/")[2]
    return f"/{bucket}/media/content/"


def content_requests(server: Server, relay: RecordingRelay, mark: int) -> int:
    """How many ranges of content workers have asked for."""
    return relay.heard_since(mark).count(f"get {content_path(server)}")


def in_bucket(server: Server, store: ObjectStore) -> set[str]:
    """The objects of content, and the multipart uploads that are open."""
    client, bucket = store.client(), server.settings["STORAGE"].split("/")[2]
    objects = client.list_objects_v2(Bucket=bucket, Prefix="media/content/").get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return {found["Key"] for found in objects} | {found["UploadId"] for found in uploads}


# The first, as rows of dead workers count for some seconds: they had more space.
def test_a_job_whose_input_does_not_fit_waits_with_the_reason_and_others_pass_it(
    server: Server, clip: bytes, start_worker: Callable[..., AnyProcess]
) -> None:
    large, small = (
        server.put("film.mp4", content).json() for content in (clip + bytes(500_000), different_copy(clip))
    )
    start_worker(SCRATCH_SIZE="300KB")
    waits, passes = (submit(server, file["id"], height=90) for file in (large, small))
    assert ended(server, passes)["status"] == "succeeded"
    reason = "Scratch space for its inputs: "
    wait_until(lambda: str(job_now(server, waits)["waiting_for"]).startswith(reason), LONG)
    start_worker(SCRATCH_SIZE="2MB")
    assert ended(server, waits)["status"] == "succeeded"


def test_an_input_is_fetched_once_for_all_jobs_and_outputs_go_to_the_store(
    server: Server, relay: RecordingRelay, clip: bytes, start_worker: Callable[..., AnyProcess]
) -> None:
    file = server.put("film.mp4", different_copy(clip)).json()
    mark = len(relay.heard)
    start_worker()
    for height in (90, 72):
        job = ended(server, submit(server, file["id"], height=height))
        assert job["status"] == "succeeded", job
        [artifact] = job["artifacts"]
        video = server.get(f"/api/v1/files/{artifact['file']}/content", user="alice")
        assert video.body[4:8] == b"ftyp"
    assert file["sha256"] in fetched(server)
    assert content_requests(server, relay, mark) == 1


def test_two_slots_that_want_the_same_input_fetch_it_once(
    server: Server, relay: RecordingRelay, clip: bytes, start_worker: Callable[..., AnyProcess]
) -> None:
    file = server.put("film.mp4", different_copy(clip)).json()
    start_worker()
    start_worker()
    mark = len(relay.heard)
    relay.hold_back(f"GET {content_path(server)}")
    jobs = [submit(server, file["id"], height=height) for height in (90, 72)]
    for job in jobs:
        wait_until(lambda job=job: job_now(server, job)["phase"] == "fetching", LONG)  # type: ignore[misc]
    wait_until(lambda: fetched(server))
    relay.release()
    assert [ended(server, job)["status"] for job in jobs] == ["succeeded"] * 2
    assert content_requests(server, relay, mark) == 1


def test_a_worker_that_is_killed_while_it_fetches_leaves_nothing_that_counts(
    server: Server, relay: RecordingRelay, clip: bytes, start_worker: Callable[..., AnyProcess]
) -> None:
    file = server.put("film.mp4", different_copy(clip)).json()
    killed = start_worker()
    relay.hold_back(f"GET {content_path(server)}")
    job = submit(server, file["id"], height=90)
    wait_until(lambda: f"{file['sha256']}.partial" in fetched(server), LONG)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert f"{file['sha256']}.partial" in fetched(server)
    relay.release()
    start_worker()
    assert ended(server, job)["status"] == "succeeded"
    assert file["sha256"] in fetched(server)
    assert not [name for name in fetched(server) if name.endswith(".partial")]


def test_a_job_is_cancelled_at_once_while_the_store_does_not_answer(
    server: Server, relay: RecordingRelay, clip: bytes, start_worker: Callable[..., AnyProcess]
) -> None:
    file = server.put("film.mp4", different_copy(clip)).json()
    start_worker()
    relay.hold_back(f"GET {content_path(server)}")
    job = submit(server, file["id"], height=90)
    wait_until(lambda: f"{file['sha256']}.partial" in fetched(server), LONG)
    server.request("POST", f"/api/v1/jobs/{job}/cancel/")
    wait_until(lambda: job_now(server, job)["status"] == "cancelled", 25)  # the request itself waits for 30
    assert not [name for name in fetched(server) if file["sha256"] in name]


def test_a_job_is_cancelled_at_once_while_its_output_is_sent_and_nothing_of_it_stays(
    server: Server, relay: RecordingRelay, object_store: ObjectStore, clip: bytes,
    start_worker: Callable[..., AnyProcess],
) -> None:  # fmt: skip
    file = server.put("film.mp4", different_copy(clip)).json()
    start_worker()
    before = in_bucket(server, object_store)
    relay.hold_back(f"PUT {content_path(server)}")
    job = submit(server, file["id"], height=90)
    wait_until(lambda: job_now(server, job)["phase"] == "storing", LONG)
    server.request("POST", f"/api/v1/jobs/{job}/cancel/")
    wait_until(lambda: job_now(server, job)["status"] == "cancelled", 25)
    relay.release()
    wait_until(
        lambda: in_bucket(server, object_store) <= before, LONG, lambda: in_bucket(server, object_store) - before
    )
    assert list((server.home / "work").iterdir()) == []
