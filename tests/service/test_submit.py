"""manage.py submit: a job from a terminal, to its end."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.in_server import arrivals
from tests.support.job_orders import post
from tests.support.server import ROOT, Server, query
from tests.support.waiting import wait_until

Film = Callable[..., bytes]


@pytest.fixture(scope="module")
def server(quick_server: Server) -> Server:
    return quick_server


@pytest.fixture
def path(tmp_path: Path, clip: bytes) -> Path:
    found = tmp_path / "holiday.mp4"
    found.write_bytes(clip)
    return found


def test_a_file_of_this_machine_is_taken_in_and_worked_on(server: Server, path: Path) -> None:
    done = server.manage("submit", str(path), "thumbnail", "width=64", "at=50%", "--owner", "alice")
    said, artifact = done.stdout.strip().splitlines()
    assert "(job " in said
    name, file, size = artifact.split(maxsplit=2)
    assert (name, size.endswith(("bytes", "KB"))) == ("thumbnail.jpg", True)
    made = server.get(f"/api/v1/files/{file}/", user="alice").json()
    assert (made["name"], made["origin"]) == ("holiday.thumbnail.jpg", "job")
    assert path.exists()


def test_a_file_that_is_here_is_worked_on_for_its_owner(server: Server, clip: bytes) -> None:
    file = server.put("film.mp4", clip + b"0", user="bob").json()["id"]
    done = server.manage("submit", file, "inspect")
    assert file in [
        job["file"] for job in server.get("/api/v1/jobs/?operation=inspect", user="bob").json()["results"]
    ]
    assert "poster" in done.stdout


def test_a_preset_stands_in_for_an_operation(server: Server, clip: bytes) -> None:
    saved = post(server, "/api/v1/presets/", {"name": "By hand", "operation": "thumbnail", "params": {"width": 66}})
    assert saved.status == 201, saved
    file = server.put("film.mp4", clip + b"1").json()["id"]
    job = server.manage("submit", file, "--preset", "By hand", "--no-wait").stdout.strip()
    made = server.get(f"/api/v1/jobs/{job}/", user="alice").json()
    assert (made["preset"], made["params"]["width"]) == ("By hand", 66)


def test_presets_on_arrival_run_only_if_that_is_asked_for(server: Server, path: Path) -> None:
    chosen = []
    for words in ((), ("--arrivals",)):
        path.touch()  # another file to the command
        command = ("submit", str(path), "inspect", "--owner", "alice", "--no-wait", *words)
        job = server.manage(*command).stdout.strip()
        file = server.get(f"/api/v1/jobs/{job}/", user="alice").json()["file"]
        chosen.append(server.call(arrivals.named_by_uploads)[file])
    assert chosen == [[], None]  # nothing, and what the account has chosen


def test_a_job_that_fails_ends_with_its_reason_and_code_one(server: Server, tmp_path: Path, film: Film) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(film())
    done = server.manage("submit", str(broken), "thumbnail", check=False)
    assert done.returncode == 1
    assert "CommandError: " in done.stderr
    assert "job " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere.mp4", "inspect"), "There is no file nowhere.mp4"),
        (("FILE", "explode"), "There is no such operation"),
        (("FILE", "thumbnail", "wdith=7"), "Did you mean width?"),
        (("FILE", "thumbnail", "width"), "NAME=VALUE"),
        (("FILE", "inspect", "--owner", "nobody"), "There is no account"),
        (("FILE", "inspect", "--input", "x"), "There is no file x"),
        (("FILE",), "Give an operation, or --preset."),
        (("FILE", "inspect", "--preset", "x"), "Give either --preset"),
        (("FILE", "--preset", "x"), "There is no preset “x”"),
    ],
)
def test_what_cannot_be_done_is_told_before_a_byte_is_copied(
    words: tuple[str, ...], says: str, server: Server, path: Path
) -> None:
    before = query(server, "SELECT count(*) FROM uploads_upload")
    done = server.manage("submit", *(str(path) if word == "FILE" else word for word in words), check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert query(server, "SELECT count(*) FROM uploads_upload") == before


def test_an_interrupted_submit_cancels_its_job_and_says_so(server: Server, path: Path) -> None:
    # Nobody works in the heavy lane. The server has jobs of other tests, too.
    def transcodes() -> set[tuple[str, str]]:
        return set(
            query(server, "SELECT CAST(id AS varchar(36)), status FROM media_jobs_job WHERE operation = 'transcode'")
        )

    before = transcodes()
    command = [sys.executable, "manage.py", "submit", str(path), "transcode", "end=1"]
    # A shell that runs the tests in the background has Ctrl-C ignored, by us and by whatever we start.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *command], cwd=ROOT, env=server.environment, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: transcodes() - before, 60)
    assert process.stderr is not None
    assert "Waiting for: A worker" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "is cancelled" in said
    assert process.returncode == 130
    [(_, status)] = transcodes() - before
    assert status == "cancelled"
