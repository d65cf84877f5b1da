"""manage.py ingest, on folders and single files."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.films import sha256
from tests.support.in_server import arrivals, changed_ingest, partial_uploads
from tests.support.running_servers import StartServer
from tests.support.server import Server
from tests.support.stored_file_checks import content, files, fsck

Film = Callable[..., bytes]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


def ingest(server: Server, *words: str | Path) -> tuple[int, str, str]:
    done = server.manage("ingest", "--owner", "alice", *map(str, words), check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.fixture
def folder(server: Server, film: Film) -> Path:
    """A folder with two films and one more below it."""
    made = server.home / "films"
    (made / "older").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "older/c.mp4"):
        (made / name).write_bytes(film())
    return made


def test_ingest_copies_folders_and_leaves_them_as_they_are(server: Server, folder: Path) -> None:
    assert ingest(server, folder) == (0, "3 ingested, 0 already stored, 0 refused.", "")
    found = files(server)
    assert sorted(found) == ["a.mp4", "b.mp4", "c.mp4"]
    for path in folder.rglob("*.mp4"):
        file = found[path.name]
        assert (file["origin"], file["owner"], file["media_type"]) == ("ingest", "alice", "video/mp4")
        assert content(server, file).body == path.read_bytes()
        assert path.stat().st_nlink == 1
    assert fsck(server, "--deep")[0] == 0


def test_ingest_moves_files_and_removes_only_what_is_in(server: Server, folder: Path) -> None:
    hashes = {path.name: sha256(path.read_bytes()) for path in folder.rglob("*.mp4")}
    (folder / "notes.txt").write_text("not a film")
    code, said, complaint = ingest(server, "--move", folder)
    assert (code, said) == (1, "3 ingested, 0 already stored, 1 refused.")
    assert str(folder / "notes.txt") in complaint
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "notes.txt"]
    found = files(server)
    assert {name: file["sha256"] for name, file in found.items()} == hashes
    for file in found.values():
        assert sha256(content(server, file).body) == file["sha256"]
    assert fsck(server, "--deep")[0] == 0


def test_ingest_moves_from_another_disk_by_copying(server: Server, film: Film) -> None:
    shm = Path("/dev/shm")  # noqa: S108  # the one other filesystem that is nearly everywhere
    if not shm.is_dir() or shm.stat().st_dev == server.media.stat().st_dev:
        pytest.skip("there is no second filesystem to move from")
    source = shm / f"millrace-{os.getpid()}.mp4"
    data = film()
    source.write_bytes(data)
    try:
        refused = ingest(server, "--link", source)
        assert (refused[0], "hard link" in refused[2]) == (1, True)
        assert ingest(server, "--move", source)[0] == 0
        assert not source.exists()
        assert content(server, files(server)[source.name]).body == data
    finally:
        source.unlink(missing_ok=True)


@pytest.mark.local_disk
def test_ingest_links_files_without_a_second_copy(server: Server, folder: Path) -> None:
    assert ingest(server, "--link", folder / "a.mp4")[0] == 0
    file = files(server)["a.mp4"]
    [linked] = server.local_files()
    assert linked.samefile(folder / "a.mp4")
    assert server.request("DELETE", f"/api/v1/files/{file['id']}/").status == 204
    assert (folder / "a.mp4").exists()
    assert server.stored_bytes() == []


@pytest.mark.parametrize("mode", ["--move", pytest.param("--link", marks=pytest.mark.local_disk)])
def test_ingest_shares_the_bytes_of_a_file_that_is_here_already(server: Server, folder: Path, mode: str) -> None:
    uploaded = server.put("uploaded.mp4", (folder / "a.mp4").read_bytes()).json()
    shutil.copy(folder / "a.mp4", folder / "copy.mp4")
    assert ingest(server, mode, folder / "copy.mp4")[0] == 0
    assert len(server.stored_bytes()) == 1
    assert {file["sha256"] for file in files(server).values()} == {uploaded["sha256"]}


def test_ingest_may_be_started_again_and_skips_what_is_in(server: Server, folder: Path, film: Film) -> None:
    assert ingest(server, folder / "a.mp4")[0] == 0
    assert ingest(server, folder)[1] == "2 ingested, 1 already stored, 0 refused."
    assert ingest(server, folder)[1] == "0 ingested, 3 already stored, 0 refused."
    (folder / "a.mp4").write_bytes(film())  # another film under the old name
    assert ingest(server, folder)[1] == "1 ingested, 2 already stored, 0 refused."
    assert len(server.stored_bytes()) == 4


def test_ingest_skips_what_is_in_also_days_later(server: Server, folder: Path) -> None:
    ingest(server, folder)
    server.call(partial_uploads.shift_uploads_by_a_week)
    server.manage("housekeeping", "--now")
    assert ingest(server, folder)[1] == "0 ingested, 3 already stored, 0 refused."


def test_a_refused_file_is_reported_and_the_others_go_on(server: Server, folder: Path) -> None:
    (folder / "a-picture-they-say.mp4").write_bytes(b"<html>" + bytes(9000))
    (folder / "empty.mp4").touch()
    (folder / "link.mp4").symlink_to(folder / "a.mp4")  # links are not followed
    code, said, complaint = ingest(server, folder)
    assert (code, said) == (1, "3 ingested, 0 already stored, 2 refused.")
    assert re.search(r"a-picture-they-say\.mp4: .*not a known media type", complaint)
    assert re.search(r"empty\.mp4: The file is empty\.", complaint)
    assert fsck(server, "--deep")[0] == 0
    assert len(server.stored_bytes()) == 3


def test_ingest_runs_the_presets_that_it_names_on_new_files(server: Server, folder: Path) -> None:
    one, two = (server.call(arrivals.save_preset, "alice", name) for name in ("One", "Two"))
    assert ingest(server, "--preset", "One", "--preset", "Two", folder / "a.mp4")[0] == 0
    assert ingest(server, "--preset", "", folder / "b.mp4")[0] == 0
    assert ingest(server, "--preset", "Two", folder)[1] == "1 ingested, 2 already stored, 0 refused."
    assert server.call(arrivals.to_be_run) == {"a.mp4": [one, two], "c.mp4": [two]}


@pytest.mark.parametrize(
    "words",
    [["--owner", "nobody", "."], ["--owner", "alice", "not-there.mp4"], ["--owner", "alice", "--preset", "X", "."]],
)
def test_ingest_for_nobody_or_of_nothing_is_refused_in_words(shared_server: Server, words: list[str]) -> None:
    done = shared_server.manage("ingest", *words, check=False)
    assert done.returncode == 1
    assert "There is no" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("change", changed_ingest.CHANGES)
@pytest.mark.parametrize("mode", ["copy", "move", pytest.param("link", marks=pytest.mark.local_disk)])
def test_a_file_that_changes_while_it_is_read_is_refused_and_left_alone(
    server: Server, film: Film, mode: str, change: str
) -> None:
    path = server.home / "changing.mp4"
    path.write_bytes(film(3_000_000))
    said = server.call(changed_ingest.ingest_while_it_changes, str(path), change, mode)
    assert re.match("invalid_params .*changed|too_large", said), said
    assert path.exists()
    assert (files(server), server.stored_bytes()) == ({}, [])
    assert fsck(server, "--deep")[0] == 0


def test_a_file_that_changes_while_it_is_moved_from_another_disk_is_left_alone(server: Server, film: Film) -> None:
    shm = Path("/dev/shm")  # noqa: S108
    if not shm.is_dir() or shm.stat().st_dev == server.media.stat().st_dev:
        pytest.skip("there is no second filesystem to move from")
    path = shm / f"millrace-changing-{os.getpid()}.mp4"
    path.write_bytes(film(3_000_000))
    try:
        said = server.call(changed_ingest.ingest_while_it_changes, str(path), "overwrite", "move")
        assert said.startswith("invalid_params"), said
        assert path.exists()  # what was written to it meanwhile is nowhere else
    finally:
        path.unlink(missing_ok=True)
