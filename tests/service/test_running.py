"""What a worker makes of jobs that cannot end well, and what it tells while they run."""

import itertools
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from media_jobs.queue import lanes
from tests.support.films import different_copy
from tests.support.in_server import jobs
from tests.support.job_requests import FINISHED, ended, submit
from tests.support.processes import stopped_at_work
from tests.support.running_servers import StartServer, running
from tests.support.server import Server, Template, query
from tests.support.small_disks import MIB, disk_at, fill_but, filler
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, ATTEMPTS="1", QUOTA="2MB", JOB_THREADS="1") as made:
        made.start_worker("heavy")
        yield made


@pytest.fixture
def upload(server: Server, clip: bytes) -> Callable[..., str]:
    return lambda user="alice": str(server.put("film.mp4", different_copy(clip), user=user).json()["id"])


def test_progress_only_grows_and_is_whole_only_at_the_end(server: Server, upload: Callable[..., str]) -> None:
    job = submit(server, upload(), codec="vp9", quality="high", fps=240)  # some seconds: it is told of once a second
    seen = [(0.0, "queued")]

    def look() -> tuple[float, str]:
        found = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
        seen.append((found["progress"], found["status"]))
        return seen[-1]

    with stopped_at_work(server.home / "work", lambda: look()[0] > 0):
        assert look()[1] == "running"
    wait_until(lambda: look()[1] in FINISHED, 150)
    assert all(before[0] <= after[0] for before, after in itertools.pairwise(seen)), seen
    assert [progress == 1 for progress, _ in seen] == [status == "succeeded" for _, status in seen]
    assert seen[-1][1] == "succeeded"
    assert len({progress for progress, _ in seen}) > 2


def test_the_command_that_was_run_and_what_it_said_can_be_read(server: Server, upload: Callable[..., str]) -> None:
    found = ended(server, submit(server, upload(), "audio", format="flac"))
    assert (found["status"], found["error"]["code"]) == ("failed", "unfit_media")  # the film has no sound
    found = ended(server, submit(server, upload(), height=90))
    assert found["command"].startswith("ffmpeg ")
    assert set(re.findall(r"threads (\d+)", found["command"])) == {"1"}  # JOB_THREADS
    assert str(server.home) not in json.dumps(found)


def test_the_command_and_the_log_are_told_while_it_runs(server: Server, upload: Callable[..., str]) -> None:
    job = submit(server, upload(), codec="vp9", quality="high", fps=120)  # some seconds: it is told of once a second

    def shown() -> Any:
        return server.get(f"/api/v1/jobs/{job}/", user="alice").json()

    with stopped_at_work(server.home / "work", lambda: shown()["command"]):
        assert shown()["status"] == "running"
        assert shown()["command"].startswith("ffmpeg ")
    assert ended(server, job)["status"] == "succeeded"


def test_a_result_that_passes_the_quota_fails_and_leaves_nothing(server: Server, upload: Callable[..., str]) -> None:
    file = upload("bob")
    filler = 2_000_000 - server.get(f"/api/v1/files/{file}/", user="bob").json()["size"] - 1000
    assert server.put("filler.mp4", film_of(server, filler), user="bob").status == 201
    before = {path.name for path in server.stored_bytes()}
    found = ended(server, submit(server, file, user="bob", quality="high"), "bob")
    assert (found["status"], found["error"]["code"]) == ("failed", "quota_exceeded")
    assert {path.name for path in server.stored_bytes()} == before
    assert list((server.home / "work").iterdir()) == []


@pytest.fixture
def quick_worker(server: Server) -> Iterator[None]:
    """It looks into what other tests uploaded, too, and is told when to go: killed, it would leave some of that."""
    worker = server.start_worker("quick")
    yield
    worker.terminate()
    worker.wait(30)


@pytest.mark.local_disk
def test_no_job_begins_while_the_disk_is_at_its_floor(start_server: StartServer, clip: bytes) -> None:
    server = start_server(MIN_FREE="8MiB")
    marker = next(server.media.glob(".*"))
    content = marker.read_bytes()
    with disk_at(server.media, 32 * MIB):
        (server.media / marker.name).write_bytes(content)
        job = submit(server, server.put("film.mp4", clip).json()["id"], "thumbnail")
        fill_but(server.media, 4 * MIB)
        before = len(server.log)
        server.start_worker("quick")
        wait_until(lambda: "no_job_begun" in server.log[before:], 60)
        found = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
        filler(server.media).unlink()
        assert (found["status"], found["waiting_for"]) == ("queued", "Free space on the server's disk.")
        assert ended(server, job)["status"] == "succeeded"
        assert [state for state, *_ in past(server, job)] == ["queued", "running", "succeeded"]
        server.kill()


def past(server: Server, job: str) -> list[tuple[Any, ...]]:
    named = job if server.database_url else uuid.UUID(job).hex
    words = "SELECT state, detail, created_at FROM uploads_transition WHERE subject = 'job' AND subject_id"
    return query(server, f"{words} = '{named}' ORDER BY number")


def test_what_others_have_lost_is_taken_back_before_anything_is_begun(
    server: Server, upload: Callable[..., str]
) -> None:
    server.call(lanes.pause, "heavy")
    lost, other = submit(server, upload(), "thumbnail"), submit(server, upload(), height=90)
    time.sleep(4)  # the worker heard of these, and looks for lost ones once a second
    server.call(jobs.lose_job_and_resume_lane, lost, "heavy")
    assert ended(server, other)["status"] == "succeeded"
    [(_, _, back)] = [change for change in past(server, lost) if change[1].startswith("worker_lost")]
    [begun] = [moment for state, _, moment in past(server, other) if state == "running"]
    assert back <= begun


def test_of_a_file_whose_poster_passes_the_quota_the_facts_are_kept(
    server: Server, clip: bytes, quick_worker: None
) -> None:
    mine = different_copy(clip)
    assert server.put("filler.mp4", film_of(server, 2_000_000 - len(mine) - 100), user="carol").status == 201
    file = server.put("film.mp4", mine, user="carol").json()["id"]
    [job] = server.get(f"/api/v1/jobs/?file={file}", user="carol").json()["results"]
    found = ended(server, job["id"], "carol")
    assert (found["status"], found["artifacts"]) == ("succeeded", [])
    assert found["message"].startswith("The preview could not be stored.")
    assert server.get(f"/api/v1/files/{file}/", user="carol").json()["facts"]["video"]
    of_rows = "SELECT key FROM uploads_blob"
    wait_until(lambda: {path.name for path in server.stored_bytes()} == {key for (key,) in query(server, of_rows)})


def film_of(server: Server, size: int) -> bytes:
    head = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"
    return head + (size - len(head)).to_bytes(4, "big") + b"mdat" + bytes(size - len(head) - 8)


def test_bytes_that_are_gone_are_told_and_the_job_can_be_tried_again(
    server: Server, upload: Callable[..., str]
) -> None:
    file = upload()
    [(key,)] = query(server, "SELECT key FROM uploads_blob ORDER BY created_at DESC LIMIT 1")
    [path] = [path for path in server.stored_bytes() if path.name == key]
    content = path.read_bytes()
    path.unlink()
    job = submit(server, file, height=90)
    found = ended(server, job)
    assert (found["status"], found["error"]["code"]) == ("failed", "content_unavailable")
    path.write_bytes(content)
    assert server.request("POST", f"/api/v1/jobs/{job}/retry/").status == 200
    assert ended(server, job)["status"] == "succeeded"


def test_what_is_no_film_inside_fails_with_a_reason(server: Server) -> None:
    file = server.put("broken.mp4", film_of(server, 5000)).json()["id"]
    found = ended(server, submit(server, file))
    assert (found["status"], found["error"]["code"]) == ("failed", "bad_media")
    assert found["error"]["detail"][0].isupper()
