"""The folder of one attempt: private, locked, removed at the end, swept after a crash."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from media_jobs.ffmpeg.work_folder import sweep, work_folder
from tests.support import child_programs
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.run import command_for


def test_it_is_private_and_gone_with_everything_inside(tmp_path: Path) -> None:
    with work_folder(tmp_path / "work", "one") as folder:
        assert folder == tmp_path / "work" / "one"
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "out.mp4").write_bytes(b"film")
    assert list((tmp_path / "work").iterdir()) == []


def test_it_is_removed_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), work_folder(tmp_path, "one"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_name_in_use_is_not_given_twice(tmp_path: Path) -> None:
    with work_folder(tmp_path, "one"), pytest.raises(FileExistsError), work_folder(tmp_path, "one"):
        pass


def test_read_only_linked_and_deeply_nested_contents_are_removed(tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "film").write_bytes(b"film")
    with work_folder(tmp_path / "work", "one") as folder:
        (folder / "link").symlink_to(keep)
        (folder / "read-only").mkdir()
        (folder / "read-only" / "file").write_bytes(b"")
        (folder / "read-only" / "link").symlink_to(keep)
        (folder / "read-only").chmod(0o500)
        _dig(folder, 2000)
    assert list((tmp_path / "work").iterdir()) == []
    assert (keep / "film").exists()


def _dig(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=here)
        here, above = os.open("deep", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)


def test_a_sweep_removes_only_folders_that_are_not_locked(tmp_path: Path) -> None:
    (tmp_path / "abandoned" / "inner").mkdir(parents=True)
    (tmp_path / "abandoned" / "inner" / "file").write_bytes(b"film")
    (tmp_path / "not a folder").write_bytes(b"")
    with work_folder(tmp_path, "mine") as folder:
        assert sweep(tmp_path) == 1
        assert folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["not a folder"]


def test_a_sweep_without_a_root_removes_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path / "work") == 0


def test_the_folder_of_a_killed_process_is_swept(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        command_for(child_programs.hold_work_folder, str(tmp_path)), cwd=ROOT, env=plain_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert sweep(tmp_path) == 0
    holder.kill()
    holder.communicate()
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_never_removes_a_folder_that_is_being_made(tmp_path: Path) -> None:
    done = threading.Event()

    def sweep_on() -> None:
        while not done.is_set():
            sweep(tmp_path)

    sweeper = threading.Thread(target=sweep_on)
    sweeper.start()
    try:
        for number in range(300):
            with work_folder(tmp_path, f"attempt-{number}") as folder:
                (folder / "out").write_bytes(b"film")
                assert (folder / "out").exists()
    finally:
        done.set()
        sweeper.join()
    assert list(tmp_path.iterdir()) == []
