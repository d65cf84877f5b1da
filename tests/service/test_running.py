"""What a worker makes of jobs that cannot end well, and what it tells while they run."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import running
from tests.server import Server, Template, query
from tests.service.test_brokers import unlike, wait_for

FINISHED = ("succeeded", "failed", "cancelled")


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(template, tmp_path_factory, ATTEMPTS="1", QUOTA="2MB", SLOTS_QUICK="1") as made:
        made.start_worker("heavy")
        wait_for(lambda: query(made, "SELECT 1 FROM media_jobs_worker"))
        yield made


@pytest.fixture
def upload(server: Server, clip: bytes) -> Callable[..., str]:
    return lambda user="alice": str(server.put("film.mp4", unlike(clip), user=user).json()["id"])


def submit(server: Server, file: str, operation: str = "transcode", user: str = "alice", **params: Any) -> str:
    order = json.dumps({"operation": operation, "params": params, "file": file}).encode()
    answer = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}, user=user)
    assert answer.status == 202, answer
    return str(answer.json()["id"])


def ended(server: Server, job: str, user: str = "alice") -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v1/jobs/{job}/?wait=30", user=user).json()
    assert found["status"] in FINISHED, (found, server.log[-3000:])
    return found


def test_progress_only_grows_and_is_whole_only_at_the_end(server: Server, upload: Callable[..., str]) -> None:
    job = submit(server, upload(), codec="vp9", quality="high")
    seen = [(0.0, "queued")]
    while seen[-1][1] not in FINISHED:
        found = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
        seen.append((found["progress"], found["status"]))
        time.sleep(0.05)
    assert all(before[0] <= after[0] for before, after in itertools.pairwise(seen)), seen
    assert [progress == 1 for progress, _ in seen] == [status == "succeeded" for _, status in seen]
    assert seen[-1][1] == "succeeded"
    assert len({progress for progress, _ in seen}) > 2


def test_the_command_that_was_run_and_what_it_said_can_be_read(server: Server, upload: Callable[..., str]) -> None:
    found = ended(server, submit(server, upload(), "audio", format="flac"))
    assert (found["status"], found["error"]["code"]) == ("failed", "unfit_media")  # the film has no sound
    found = ended(server, submit(server, upload(), height=90))
    assert found["command"].startswith("ffmpeg ")
    assert str(server.home) not in json.dumps(found)


def test_a_result_that_passes_the_quota_fails_and_leaves_nothing(server: Server, upload: Callable[..., str]) -> None:
    file = upload("bob")
    filler = 2_000_000 - server.get(f"/api/v1/files/{file}/", user="bob").json()["size"] - 1000
    assert server.put("filler.mp4", film_of(server, filler), user="bob").status == 201
    before = {path.name for path in server.stored_bytes()}
    found = ended(server, submit(server, file, user="bob", quality="high"), "bob")
    assert (found["status"], found["error"]["code"]) == ("failed", "quota_exceeded")
    assert {path.name for path in server.stored_bytes()} == before
    assert list((server.home / "work").iterdir()) == []


def film_of(server: Server, size: int) -> bytes:
    head = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"
    return head + (size - len(head)).to_bytes(4, "big") + b"mdat" + bytes(size - len(head) - 8)


def test_bytes_that_are_gone_are_told_and_the_job_can_be_tried_again(
    server: Server, upload: Callable[..., str]
) -> None:
    file = upload()
    [(key,)] = query(server, "SELECT key FROM uploads_blob ORDER BY created_at DESC LIMIT 1")
    [path] = [path for path in server.stored_bytes() if path.name == key]
    path.rename(path.with_suffix(".away"))
    job = submit(server, file, height=90)
    found = ended(server, job)
    assert (found["status"], found["error"]["code"]) == ("failed", "content_unavailable")
    path.with_suffix(".away").rename(path)
    assert server.request("POST", f"/api/v1/jobs/{job}/retry/").status == 200
    assert ended(server, job)["status"] == "succeeded"


def test_what_is_no_film_inside_fails_with_a_reason(server: Server) -> None:
    file = server.put("broken.mp4", film_of(server, 5000)).json()["id"]
    found = ended(server, submit(server, file))
    assert (found["status"], found["error"]["code"]) == ("failed", "bad_media")
    assert found["error"]["detail"][0].isupper()
