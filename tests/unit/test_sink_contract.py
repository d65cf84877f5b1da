"""What every Sink promises, asked of each: in memory, on a disk, and on a disk without anonymous files."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import child_programs
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.run import command_for
from tests.support.sinks import ANOTHER, KEY, KINDS, NOWHERE, begin, keep, listed, make_sink, read, write
from uploads.sinks import crash_points
from uploads.sinks.base import KeyLocked, NoSuchKey, SinkError, SinkFull
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


@pytest.fixture
def passed() -> Iterator[list[Step]]:
    """The steps reached, in their order."""
    found: list[Step] = []
    crash_points.listeners.append(found.append)
    yield found
    crash_points.listeners.remove(found.append)


def test_a_local_sink_uses_anonymous_files_where_it_can(tmp_path: Path) -> None:
    if not LocalSink(tmp_path).has_anonymous_files():
        pytest.skip("the filesystem of the tests has no anonymous files")
    with LocalSink(tmp_path).create(KEY) as writer:
        writer.write(b"bytes")
        assert list(tmp_path.rglob("*")) == []


# Writing and committing


def test_what_was_written_is_read_back(sink: ResumableSink) -> None:
    writer = write(sink.create(KEY, size=11), b"hello", memoryview(b" world"))  # type: ignore[arg-type]
    assert (writer.key, writer.offset) == (KEY, 11)
    writer.commit()
    assert (read(sink, KEY), sink.size(KEY)) == (b"hello world", 11)


def test_a_large_write_is_taken_whole(sink: ResumableSink) -> None:
    content = os.urandom(5 * 1024**2)
    keep(sink, KEY, content)
    assert read(sink, KEY) == content


@pytest.mark.parametrize("resumable", [False, True])
def test_nothing_is_visible_before_the_commit(sink: ResumableSink, resumable: bool) -> None:
    writer = write(begin(sink, KEY, resumable=resumable), b"half of it")
    assert sink.size(KEY) is None
    with pytest.raises(NoSuchKey):
        sink.open(KEY)
    assert not [stored for stored in sink.walk() if not stored.partial]
    writer.commit()
    assert sink.size(KEY) == 10


@pytest.mark.parametrize("resumable", [False, True])
def test_a_commit_passes_its_steps_in_order_and_the_bytes_are_whole_from_linked_on(
    sink: ResumableSink, passed: list[Step], resumable: bool
) -> None:
    sizes: dict[Step, int | None] = {}
    note = lambda step: sizes.__setitem__(step, sink.size(KEY))  # noqa: E731
    crash_points.listeners.append(note)
    try:
        write(begin(sink, KEY, resumable=resumable), b"bytes").commit()
    finally:
        crash_points.listeners.remove(note)
    assert passed == [Step.SYNCED, Step.LINKED, Step.DIRECTORY_SYNCED]
    assert sizes == {Step.SYNCED: None, Step.LINKED: 5, Step.DIRECTORY_SYNCED: 5}


@pytest.mark.parametrize("resumable", [False, True])
def test_a_committed_write_may_be_ended_again_in_any_way(sink: ResumableSink, resumable: bool) -> None:
    writer = write(begin(sink, KEY, resumable=resumable), b"bytes")
    for end in (writer.commit, writer.commit, writer.abort, writer.close, writer.abort):
        end()
    assert read(sink, KEY) == b"bytes"
    assert listed(sink) == {(KEY, 5, False)}


@pytest.mark.parametrize("resumable", [False, True])
def test_an_aborted_write_leaves_nothing_and_may_be_ended_again(sink: ResumableSink, resumable: bool) -> None:
    writer = write(begin(sink, KEY, resumable=resumable), b"bytes")
    for end in (writer.abort, writer.abort, writer.close, writer.commit):
        end()
    assert listed(sink) == set()
    assert sink.size(KEY) is None
    with pytest.raises(NoSuchKey):
        sink.resume(KEY)


def test_closing_a_one_shot_write_leaves_nothing(sink: ResumableSink) -> None:
    writer = write(sink.create(KEY), b"bytes")
    for end in (writer.close, writer.close, writer.abort):
        end()
    assert listed(sink) == set()
    assert sink.size(KEY) is None


def test_leaving_a_write_as_a_context_closes_it(sink: ResumableSink) -> None:
    with sink.create(KEY) as writer:
        writer.write(b"bytes")
    with sink.create_resumable(ANOTHER) as writer:
        writer.write(b"bytes")
    assert listed(sink) == {(ANOTHER, 5, True)}


def test_many_writes_go_on_side_by_side(sink: ResumableSink) -> None:
    first, second = sink.create(KEY), sink.create(ANOTHER)
    for _ in range(10):
        first.write(b"1")
        second.write(b"2")
    second.commit()
    first.abort()
    assert (sink.size(KEY), read(sink, ANOTHER)) == (None, b"2" * 10)


# Resuming


def test_a_write_goes_on_where_it_was_left_and_ends_in_the_same_bytes(sink: ResumableSink) -> None:
    content = os.urandom(300_000)
    with sink.create_resumable(KEY) as writer:
        writer.write(content[:100_000])
    with sink.resume(KEY) as writer:
        assert writer.offset == sink.offset(KEY) == 100_000
        writer.write(content[100_000:200_000])
    writer = sink.resume(KEY)
    assert writer.offset == sink.offset(KEY) == 200_000
    write(writer, content[200_000:]).commit()
    assert read(sink, KEY) == content
    assert listed(sink) == {(KEY, 300_000, False)}


def test_the_offset_of_an_open_write_is_known_to_others(sink: ResumableSink) -> None:
    writer = sink.create_resumable(KEY)
    assert sink.offset(KEY) == 0
    write(writer, b"12345")
    assert sink.offset(KEY) == 5
    writer.close()
    assert sink.offset(KEY) == 5


def test_there_is_no_offset_of_what_is_not_being_written(sink: ResumableSink) -> None:
    keep(sink, KEY, b"bytes")
    for key in (KEY, NOWHERE):
        with pytest.raises(NoSuchKey):
            sink.offset(key)


def test_nothing_that_is_committed_or_was_never_begun_can_be_resumed(sink: ResumableSink) -> None:
    keep(sink, KEY, b"bytes")
    for key in (KEY, NOWHERE):
        with pytest.raises(NoSuchKey):
            sink.resume(key)


def test_a_second_writer_is_held_off_until_the_first_lets_go(sink: ResumableSink) -> None:
    first = write(sink.create_resumable(KEY), b"one")
    with pytest.raises(KeyLocked):
        sink.resume(KEY)
    first.close()
    second = sink.resume(KEY)
    with pytest.raises(KeyLocked):
        sink.resume(KEY)
    write(second, b"two").commit()
    assert read(sink, KEY) == b"onetwo"


def test_what_is_open_can_be_read_by_others_and_nothing_else_can(sink: ResumableSink) -> None:
    with write(sink.create_resumable(KEY), b"0123456789"):
        with sink.open_partial(KEY, 4) as reader:
            assert reader.read() == b"456789"
        with pytest.raises(NoSuchKey):
            sink.open(KEY)
    keep(sink, ANOTHER, b"kept")
    for key in (ANOTHER, NOWHERE):
        with pytest.raises(NoSuchKey):
            sink.open_partial(key)


def test_an_open_write_can_be_cut_and_goes_on_there(sink: ResumableSink) -> None:
    write(sink.create_resumable(KEY), b"0123456789").close()
    writer = sink.resume(KEY)
    writer.truncate(4)
    assert writer.offset == sink.offset(KEY) == 4
    write(writer, b"abc").commit()
    assert read(sink, KEY) == b"0123abc"


def test_the_latest_note_is_found_by_whoever_goes_on_and_goes_with_the_write(sink: ResumableSink) -> None:
    assert sink.read_checkpoint(KEY) == ""
    with write(sink.create_resumable(KEY), b"one") as writer:
        for note in ("a rather long first note", "short", "the last: é"):
            writer.save_checkpoint(note)
            assert sink.read_checkpoint(KEY) == note
    writer = sink.resume(KEY)
    assert sink.read_checkpoint(KEY) == "the last: é"
    assert listed(sink) == {(KEY, 3, True)}
    writer.commit()
    assert (sink.read_checkpoint(KEY), listed(sink)) == ("", {(KEY, 3, False)})


@pytest.mark.parametrize("way", ["abort", "delete"])
def test_a_note_goes_with_its_write(sink: ResumableSink, way: str) -> None:
    writer = write(sink.create_resumable(KEY), b"one")
    writer.save_checkpoint("noted")
    writer.abort() if way == "abort" else sink.delete(KEY)
    assert (sink.read_checkpoint(KEY), listed(sink)) == ("", set())


def test_a_note_whose_write_was_lost_is_met_when_walking(disk: LocalSink) -> None:
    with write(disk.create_resumable(KEY), b"one") as writer:
        writer.save_checkpoint("noted")
    disk.layout.partial(KEY).unlink()
    [found] = disk.walk()
    assert (found.key, found.partial) == (KEY, True)
    disk.delete(KEY)
    assert listed(disk) == set()


def test_what_is_being_written_cannot_be_begun_again(sink: ResumableSink) -> None:
    with sink.create_resumable(KEY), pytest.raises(KeyLocked):
        sink.create_resumable(KEY)


def test_a_writer_that_was_aborted_holds_nobody_off(sink: ResumableSink) -> None:
    write(sink.create_resumable(KEY), b"one").abort()
    with sink.create_resumable(KEY) as again:
        assert again.offset == 0


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


def test_reading_may_start_anywhere(sink: ResumableSink) -> None:
    keep(sink, KEY, b"0123456789")
    assert [read(sink, KEY, start) for start in (0, 3, 9, 10, 11)] == [b"0123456789", b"3456789", b"9", b"", b""]


def test_there_is_nothing_to_read_where_nothing_is_kept(sink: ResumableSink) -> None:
    with pytest.raises(NoSuchKey):
        sink.open(NOWHERE)
    assert sink.size(NOWHERE) is None


def test_a_reader_reads_on_while_its_bytes_are_deleted(sink: ResumableSink) -> None:
    keep(sink, KEY, b"0123456789")
    with sink.open(KEY) as reader:
        assert reader.read(5) == b"01234"
        sink.delete(KEY)
        assert reader.read() == b"56789"


# Deleting and looking round


def test_deleting_removes_what_is_kept_and_may_be_done_again(sink: ResumableSink) -> None:
    keep(sink, KEY, b"bytes")
    keep(sink, ANOTHER, b"others")
    for _ in range(2):
        sink.delete(KEY)
    assert listed(sink) == {(ANOTHER, 6, False)}
    with pytest.raises(NoSuchKey):
        sink.open(KEY)


def test_deleting_removes_what_is_left_open(sink: ResumableSink) -> None:
    write(sink.create_resumable(KEY), b"bytes").close()
    sink.delete(KEY)
    assert listed(sink) == set()
    with pytest.raises(NoSuchKey):
        sink.offset(KEY)


def test_walking_meets_everything_once_committed_or_partial(sink: ResumableSink) -> None:
    assert listed(sink) == set()
    sink.set_identity("6f1b")
    keep(sink, KEY, b"bytes")
    keep(sink, NOWHERE, b"bytes elsewhere")
    write(sink.create_resumable(ANOTHER), b"par").close()
    found = list(sink.walk())
    assert len(found) == 3
    assert listed(sink) == {(KEY, 5, False), (NOWHERE, 15, False), (ANOTHER, 3, True)}
    for stored in found:
        assert abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=1)


def test_walking_passes_by_what_others_put_on_the_disk(disk: LocalSink) -> None:
    """A disk of its own has a lost+found; a careless person may leave a note anywhere."""
    keep(disk, KEY, b"bytes")
    for path in ("lost+found/#123", "0b/note.txt", "note.txt", "no", "music/song.mp3"):
        (disk.root / path).parent.mkdir(exist_ok=True)
        (disk.root / path).write_bytes(b"not ours")
    assert listed(disk) == {(KEY, 5, False)}


def test_free_room_is_a_number_or_has_no_meaning(sink: ResumableSink) -> None:
    free = sink.free()
    assert free is None or free > 0


def test_a_place_says_the_mark_it_was_given_and_none_before(sink: ResumableSink) -> None:
    assert sink.identity() is None
    for mark in ("6f1b", "77aa"):
        sink.set_identity(mark)
        assert sink.identity() == mark


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


def test_no_descriptor_stays_open(sink: ResumableSink) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open descriptors are counted in /proc, which this system has not")
    keep(sink, KEY, b"bytes")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(20):
        keep(sink, f"0b{number:02}", b"bytes")
        sink.create(f"1b{number:02}").abort()
        write(sink.create_resumable(f"2b{number:02}"), b"x").close()
        sink.resume(f"2b{number:02}").close()
        read(sink, KEY)
        with pytest.raises(NoSuchKey):
            sink.resume(NOWHERE)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
