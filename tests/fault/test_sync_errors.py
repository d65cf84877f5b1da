"""A disk that loses bytes says so once. Whoever is told must not answer afterwards that they are safe."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import pytest

from tests.support.run import command_for, result_of
from tests.support.scenarios import failed_syncs
from tests.support.server import ROOT, Server, Template
from tests.support.tus_client import Client
from uploads.sinks.local.writeback import WINDOW

pytestmark = pytest.mark.local_disk

Film = Callable[..., bytes]
P = ParamSpec("P")
# Of a write of three windows in one request. It begins to push out each, and waits for each but the last at the next.
FIRST_WAIT, LAST_WAIT = 3, 5


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("making a sync fail needs gcc")
    made = tmp_path_factory.mktemp("shim") / "sync_fault.so"
    source = ROOT / "tests" / "support" / "scenarios" / "sync_fault.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", made, source, "-ldl"], check=True)
    return made


def preloaded(shim: Path, fault: Path) -> dict[str, str]:
    return {"LD_PRELOAD": str(shim), "SYNC_FAULT": str(fault)}


def seen(
    shim: Path,
    folder: Path,
    function: Callable[Concatenate[str, P], dict[str, Any]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> dict[str, Any]:
    """What a process saw that used a sink in this folder. It needs no Django."""
    root = folder / "media"
    root.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        command_for(function, str(root), *args, **kwargs), cwd=ROOT, env=env | preloaded(shim, folder / "fault"),
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = result_of(done.stdout)
    return found


@pytest.mark.parametrize(
    ("function", "count", "writing"),
    [
        ("sync_file_range", FIRST_WAIT, "refused"),
        ("sync_file_range", LAST_WAIT, "refused"),
        ("sync_file_range", LAST_WAIT + 1, "done"),  # the wait at the end
        ("fdatasync", 1, "done"),
    ],
)
def test_a_write_of_which_bytes_got_lost_is_not_committed_and_leaves_nothing(
    shim: Path, tmp_path: Path, function: str, count: int, writing: str
) -> None:
    found = seen(shim, tmp_path, failed_syncs.one_shot, function, count)
    assert found == {"writing": writing, "committing": "refused", "failed": True, "stored": None, "left": []}


@pytest.mark.parametrize(
    ("function", "count", "writing", "kept"),
    [
        # Steps of one megabyte: 15 to the end of the first window, 16 and a wait to the end of each of the others.
        ("sync_file_range", 1 + 15 + 16 + 1, "refused", 1024**2),  # what the first turn wrote
        ("sync_file_range", 1 + 15 + 16 + 1 + 16 + 1, "refused", WINDOW),
        ("sync_file_range", 1 + 15 + 16 + 1 + 16 + 1 + 2, "done", 2 * WINDOW),
        ("fdatasync", 1, "done", 0),  # the disk could not empty its cache: nobody knows what it has
    ],
)
def test_a_resumable_write_goes_on_before_the_bytes_that_got_lost(
    shim: Path, tmp_path: Path, function: str, count: int, writing: str, kept: int
) -> None:
    found = seen(shim, tmp_path, failed_syncs.resumable, function, count)
    assert found == {
        "writing": writing, "committing": "refused", "failed": True, "stored": None, "offset": kept, "noted": "",
        "again": "done",
    }  # fmt: skip


def test_the_bytes_of_each_turn_are_waited_for_by_itself_or_by_the_next(shim: Path, tmp_path: Path) -> None:
    found = seen(shim, tmp_path, failed_syncs.turns)
    assert found == {"flushing": "refused", "kept": 65_536, "resuming": "refused", "after": 0}


def test_a_folder_whose_name_could_not_be_synced_is_made_again(shim: Path, tmp_path: Path) -> None:
    assert seen(shim, tmp_path, failed_syncs.folders) == {"committing": "refused", "again": "refused", "failed": True}


# In Django


@pytest.fixture
def home(template: Template, tmp_path: Path) -> Iterator[Server]:
    """A database, and no server."""
    made = Server(tmp_path / "home", template.tokens, template.copy_to(tmp_path / "home"))
    yield made
    made.end()


def seen_in_django(
    shim: Path, home: Server, function: Callable[P, dict[str, Any]], *args: P.args, **kwargs: P.kwargs
) -> dict[str, Any]:
    done = subprocess.run(
        command_for(function, *args, **kwargs), cwd=ROOT, env=home.environment | preloaded(shim, home.home / "fault"),
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = result_of(done.stdout)
    return found


def test_a_file_that_cannot_be_synced_is_not_ingested(shim: Path, home: Server, film: Film) -> None:
    path = home.home / "film.mp4"
    path.write_bytes(film())
    assert seen_in_django(shim, home, failed_syncs.ingested, str(path)) == {
        "copy": ["storage_unavailable", True, 0, 0, []],
        "link": ["storage_unavailable", True, 0, 0, []],
        "at_last": [1, 1],
    }


def test_a_job_whose_result_cannot_be_synced_is_tried_again(shim: Path, home: Server, clip: bytes) -> None:
    path = home.home / "clip.mp4"
    path.write_bytes(clip)
    first, second = seen_in_django(shim, home, failed_syncs.job, str(path), "sync_file_range")["attempts"]
    assert first == ["queued", 1, "The server's disk reported an error.", 0, True]
    assert (second[0], second[3]) == ("succeeded", 1)


def test_an_upload_of_which_bytes_got_lost_is_refused_and_can_be_sent_again(
    shim: Path, template: Template, tmp_path: Path, film: Film
) -> None:
    home = tmp_path / "home"
    fault, content = home / "fault", film(2 * WINDOW + 1_000_000)
    wrapper = ["env", *(f"{name}={value}" for name, value in preloaded(shim, fault).items())]
    server = Server(home, template.tokens, template.copy_to(home), wrapper=wrapper)
    try:
        server.start()
        fault.write_text(f"sync_file_range {FIRST_WAIT} {server.media}")
        refused = server.put("film.mp4", content)
        assert (refused.status, refused.code, server.stored_bytes()) == (503, "storage_unavailable", [])
        assert not fault.exists()

        tus = Client(server)
        path = tus.new(len(content))
        assert tus.patch(path, 0, content[:WINDOW]).status == 204
        fault.write_text(f"sync_file_range 2 {server.media}")  # after the wait of the turn's beginning
        assert tus.patch(path, WINDOW, content[WINDOW : WINDOW + 1_000_000]).code == "storage_unavailable"
        assert tus.offset(path) == WINDOW
        fault.write_text(f"fdatasync 1 {server.media}")
        assert tus.patch(path, WINDOW, content[WINDOW:]).code == "storage_unavailable"
        assert tus.finish(path, content) == 0
        [file] = server.get("/api/v1/files/", user="alice").json()["results"]
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    finally:
        server.end()
