"""A transcode that two workers share: split, encoded side by side, joined; also when one of them is killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.films import different_copy
from tests.support.hls_streams import decoded, packets
from tests.support.job_requests import ended, submit
from tests.support.object_store import ObjectStore
from tests.support.preloaded_processes import AnyProcess
from tests.support.processes import stopped_at_work
from tests.support.running_servers import running
from tests.support.server import Server, Template, query
from tests.support.troubled_clips import clip
from tests.support.waiting import wait_until

CHILDREN = "SELECT CAST(id AS varchar(36)), status FROM media_jobs_job WHERE parent_id IS NOT NULL"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip("one-minute.mp4", tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module", params=["local", "s3"])
def server(
    request: pytest.FixtureRequest, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    store: ObjectStore | None = request.getfixturevalue("object_store") if request.param == "s3" else None
    with running(template, tmp_path_factory, store=store, SPLIT_AFTER="30s", JOB_THREADS="1", LEASE="5s") as found:
        yield found


def send(server: Server, film: Path) -> str:
    return str(server.put("film.mp4", different_copy(film.read_bytes()), user="alice").json()["id"])


def video_of(server: Server, job: str, target: Path) -> Path:
    target.write_bytes(server.get(f"/api/v1/jobs/{job}/artifacts/video.mp4", user="alice").body)
    return target


def children(server: Server) -> dict[str, str]:
    return dict(query(server, CHILDREN))


def half_done(server: Server) -> AbstractContextManager[None]:
    """A job of which a part is done, while workers are stopped at others."""

    def is_half_done() -> bool:
        states = set(children(server).values())
        return "succeeded" in states and len(states) > 1

    return stopped_at_work(server.home / "work", is_half_done, otherwise=lambda: server.log[-2000:])


def test_two_workers_share_a_transcode_and_a_killed_one_costs_its_part_alone(
    server: Server, film: Path, tmp_path: Path
) -> None:
    whole = submit(server, send(server, film), height=64)
    workers: list[AnyProcess] = [server.start_worker("heavy")]
    assert ended(server, whole)["status"] == "succeeded"
    workers.append(server.start_worker("heavy"))

    job = submit(server, send(server, film), height=64)
    with half_done(server):
        shown = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
        assert shown["children"]["total"] > 4
        done = {child for child, status in children(server).items() if status == "succeeded"}
        os.killpg(workers[0].pid, signal.SIGKILL)
    wait_until(lambda: done <= set(children(server)) or not children(server), 30)
    result = ended(server, job)
    assert (result["status"], result["children"], result["attempt"]) == ("succeeded", None, 1), result
    assert children(server) == {}
    assert query(server, "SELECT 1 FROM media_jobs_scratchblob") == []

    paths = [video_of(server, name, tmp_path / f"{name}.mp4") for name in (whole, job)]
    times = [sorted(packet.begin for packet in packets(path, "video")) for path in paths]
    assert times[0] == pytest.approx(times[1], abs=0.0001)
    assert packets(paths[0], "audio") == packets(paths[1], "audio")
    assert decoded(paths[1]).count("\n") == 64 * 25 - 1
    states = [event["state"] for event in server.get(f"/api/v1/jobs/{job}/events/", user="alice").json()]
    assert states == ["queued", "running", "queued", "running", "succeeded"]


def test_cancelling_a_shared_transcode_leaves_nothing(server: Server, film: Path) -> None:
    for _ in range(2):
        server.start_worker("heavy")
    job = submit(server, send(server, film), height=80)
    with half_done(server):
        server.request("POST", f"/api/v1/jobs/{job}/cancel/", user="alice")
    assert ended(server, job)["status"] == "cancelled"
    wait_until(lambda: not children(server), 30)
    assert query(server, "SELECT 1 FROM media_jobs_scratchblob") == []
