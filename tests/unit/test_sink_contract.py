"""What every Sink promises, asked of those that need no server, and what only disks and memory promise."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import child_programs
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.run import command_for
from tests.support.sink_contract import SinkContract
from tests.support.sinks import ANOTHER, KEY, KINDS, begin, keep, listed, make_sink, read, write
from uploads.sinks.base import KeyLocked, SinkError, SinkFull
from uploads.sinks.crash_points import Step
from uploads.sinks.local.sink import LocalSink
from uploads.sinks.memory import MemorySink
from uploads.sinks.resumable import ResumableSink


@pytest.fixture(params=KINDS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> ResumableSink:
    return make_sink(request.param, tmp_path / "media")


@pytest.fixture(params=KINDS[1:])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> LocalSink:
    found = make_sink(request.param, tmp_path / "media")
    assert isinstance(found, LocalSink)
    return found


class TestSink(SinkContract):
    """In memory, on a disk, and on a disk without anonymous files."""


def test_a_local_sink_uses_anonymous_files_where_it_can(tmp_path: Path) -> None:
    if not LocalSink(tmp_path).has_anonymous_files():
        pytest.skip("the filesystem of the tests has no anonymous files")
    with LocalSink(tmp_path).create(KEY) as writer:
        writer.write(b"bytes")
        assert list(tmp_path.rglob("*")) == []


# Writing and committing


# Resuming


def test_a_note_whose_write_was_lost_is_met_when_walking(disk: LocalSink) -> None:
    with write(disk.create_resumable(KEY), b"one") as writer:
        writer.save_checkpoint("noted")
    disk.layout.partial(KEY).unlink()
    [found] = disk.walk()
    assert (found.key, found.partial) == (KEY, True)
    disk.delete(KEY)
    assert listed(disk) == set()


def test_a_writer_of_another_process_holds_others_off_until_it_is_killed(disk: LocalSink) -> None:
    write(disk.create_resumable(KEY), b"begun here, ").close()
    holder = subprocess.Popen(
        command_for(child_programs.resume_blob, str(disk.root), KEY), cwd=ROOT, env=plain_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(KeyLocked):
            disk.resume(KEY)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    writer = disk.resume(KEY)
    assert writer.offset == 26
    writer.commit()
    assert read(disk, KEY) == b"begun here, from elsewhere"


def test_a_write_whose_process_was_killed_leaves_no_more_than_a_partial(disk: LocalSink) -> None:
    holder = subprocess.Popen(
        command_for(child_programs.write_new_blob, str(disk.root), KEY), cwd=ROOT, env=plain_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    assert disk.size(KEY) is None
    assert {partial for _, _, partial in listed(disk)} <= {True}
    if LocalSink(disk.root).has_anonymous_files():
        assert listed(disk) == set()


# Reading


# Deleting and looking round


def test_walking_passes_by_what_others_put_on_the_disk(disk: LocalSink) -> None:
    """A disk of its own has a lost+found; a careless person may leave a note anywhere."""
    keep(disk, KEY, b"bytes")
    for path in ("lost+found/#123", "0b/note.txt", "note.txt", "no", "music/song.mp3"):
        (disk.root / path).parent.mkdir(exist_ok=True)
        (disk.root / path).write_bytes(b"not ours")
    assert listed(disk) == {(KEY, 5, False)}


def test_a_disk_that_is_gone_has_no_mark_and_looks_empty_to_nobody(disk: LocalSink) -> None:
    disk.set_identity("6f1b")
    keep(disk, KEY, b"bytes")
    disk.root.rename(disk.root.with_name("unmounted"))
    assert disk.identity() is None
    for ask in (lambda: list(disk.walk()), disk.free, lambda: disk.create(ANOTHER)):
        with pytest.raises(SinkError):
            ask()


# When the place fails


def test_a_full_memory_says_so_and_keeps_what_it_has(passed: list[Step]) -> None:
    sink = MemorySink(capacity=10)
    keep(sink, KEY, b"12345678")
    assert sink.free() == 2
    for resumable in (False, True):
        with begin(sink, ANOTHER, resumable=resumable) as writer:
            writer.write(b"9")
            with pytest.raises(SinkFull):
                writer.write(b"0123")
            writer.abort()
    assert (sink.free(), listed(sink)) == (2, {(KEY, 8, False)})


def test_a_memory_fills_up_with_small_pieces_too() -> None:
    with MemorySink(capacity=10).create(KEY) as writer, pytest.raises(SinkFull):
        write(writer, *[b"1"] * 11)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_full_disk_says_so_and_keeps_what_it_has(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "small"
    root.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(root)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mounting).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    try:
        sink = make_sink(kind, root)
        keep(sink, KEY, b"1" * 100_000)
        writer = sink.create(ANOTHER)
        with pytest.raises(SinkFull):
            write(writer, *[b"2" * 10_000] * 100)
        writer.abort()
        assert listed(sink) == {(KEY, 100_000, False)}
        keep(sink, ANOTHER, b"3" * 50_000)  # the room is free again
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.mark.parametrize("resumable", [False, True])
def test_a_directory_that_cannot_be_synced_leaves_nothing_under_the_key(
    disk: LocalSink, monkeypatch: pytest.MonkeyPatch, resumable: bool, passed: list[Step]
) -> None:
    keep(disk, ANOTHER, b"others")  # makes the folder that KEY goes to
    passed.clear()
    sync = os.fsync

    def fail_for_folders(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    writer = write(begin(disk, KEY, resumable=resumable), b"bytes")
    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(SinkError):
        writer.commit()
    writer.abort()
    assert passed == [Step.SYNCED, Step.LINKED]
    # A resumable write outlives a commit that failed: its bytes are there for the next try.
    assert listed(disk) == {(ANOTHER, 6, False)} | ({(KEY, 5, True)} if resumable else set())


def test_bytes_that_cannot_be_synced_are_not_linked(
    disk: LocalSink, monkeypatch: pytest.MonkeyPatch, passed: list[Step]
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    writer = write(disk.create(KEY), b"bytes")
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(SinkError):
        writer.commit()
    assert (passed, listed(disk)) == ([], set())


def test_a_disk_that_errs_says_so_in_the_words_of_the_contract(disk: LocalSink) -> None:
    """Whatever the system calls it, callers know SinkError alone."""
    disk.root.rename(disk.root.with_name("elsewhere"))
    disk.root.write_bytes(b"a file where the folder was")
    for ask in (disk.size, disk.offset, disk.resume, disk.open, disk.create, disk.delete):
        with pytest.raises(SinkError):
            ask(KEY)


def test_files_on_disk_are_for_their_owner_alone(disk: LocalSink) -> None:
    keep(disk, KEY, b"bytes")
    write(disk.create_resumable(ANOTHER), b"bytes").close()
    for path in disk.root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
