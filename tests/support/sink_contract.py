"""What every Sink promises, asked of each kind by a test module of its own."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.sinks import ANOTHER, KEY, NOWHERE, begin, keep, leave, listed, read, write
from uploads.sinks import crash_points
from uploads.sinks.base import KeyLocked, NoSuchKey
from uploads.sinks.crash_points import Step
from uploads.sinks.resumable import ResumableSink


class SinkContract:
    """Inherited by a class of each module that has a fixture `sink`."""

    # Writing and committing

    def test_what_was_written_is_read_back(self, sink: ResumableSink) -> None:
        writer = write(sink.create(KEY, size=11), b"hello", memoryview(b" world"))  # type: ignore[arg-type]
        assert (writer.key, writer.offset) == (KEY, 11)
        writer.commit()
        assert (read(sink, KEY), sink.size(KEY)) == (b"hello world", 11)

    def test_a_large_write_is_taken_whole(self, sink: ResumableSink) -> None:
        content = os.urandom(5 * 1024**2)
        keep(sink, KEY, content)
        assert read(sink, KEY) == content

    @pytest.mark.parametrize("resumable", [False, True])
    def test_nothing_is_visible_before_the_commit(self, sink: ResumableSink, resumable: bool) -> None:
        writer = write(begin(sink, KEY, resumable=resumable), b"half of it")
        assert sink.size(KEY) is None
        with pytest.raises(NoSuchKey):
            sink.open(KEY)
        assert not [stored for stored in sink.walk() if not stored.partial]
        writer.commit()
        assert sink.size(KEY) == 10

    @pytest.mark.parametrize("resumable", [False, True])
    def test_a_commit_passes_its_steps_in_order_and_the_bytes_are_whole_from_linked_on(
        self, sink: ResumableSink, passed: list[Step], resumable: bool
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
    def test_a_committed_write_may_be_ended_again_in_any_way(self, sink: ResumableSink, resumable: bool) -> None:
        writer = write(begin(sink, KEY, resumable=resumable), b"bytes")
        for end in (writer.commit, writer.commit, writer.abort, writer.close, writer.abort):
            end()
        assert read(sink, KEY) == b"bytes"
        assert listed(sink) == {(KEY, 5, False)}

    @pytest.mark.parametrize("resumable", [False, True])
    def test_an_aborted_write_leaves_nothing_and_may_be_ended_again(
        self, sink: ResumableSink, resumable: bool
    ) -> None:
        writer = write(begin(sink, KEY, resumable=resumable), b"bytes")
        for end in (writer.abort, writer.abort, writer.close, writer.commit):
            end()
        assert listed(sink) == set()
        assert sink.size(KEY) is None
        with pytest.raises(NoSuchKey):
            sink.resume(KEY)

    def test_closing_a_one_shot_write_leaves_nothing(self, sink: ResumableSink) -> None:
        writer = write(sink.create(KEY), b"bytes")
        for end in (writer.close, writer.close, writer.abort):
            end()
        assert listed(sink) == set()
        assert sink.size(KEY) is None

    def test_leaving_a_write_as_a_context_closes_it(self, sink: ResumableSink) -> None:
        with sink.create(KEY) as writer:
            writer.write(b"bytes")
        with sink.create_resumable(ANOTHER) as resumable:
            write(resumable, b"bytes").flush()
        assert listed(sink) == {(ANOTHER, 5, True)}

    def test_many_writes_go_on_side_by_side(self, sink: ResumableSink) -> None:
        first, second = sink.create(KEY), sink.create(ANOTHER)
        for _ in range(10):
            first.write(b"1")
            second.write(b"2")
        second.commit()
        first.abort()
        assert (sink.size(KEY), read(sink, ANOTHER)) == (None, b"2" * 10)

    # Resuming

    def test_a_write_goes_on_where_it_was_left_and_ends_in_the_same_bytes(self, sink: ResumableSink) -> None:
        content = os.urandom(300_000)
        leave(write(sink.create_resumable(KEY), content[:100_000]))
        writer = sink.resume(KEY)
        assert writer.offset == sink.offset(KEY) == 100_000
        leave(write(writer, content[100_000:200_000]))
        writer = sink.resume(KEY)
        assert writer.offset == sink.offset(KEY) == 200_000
        write(writer, content[200_000:]).commit()
        assert read(sink, KEY) == content
        assert listed(sink) == {(KEY, 300_000, False)}

    def test_the_offset_of_an_open_write_is_known_to_others(self, sink: ResumableSink) -> None:
        writer = sink.create_resumable(KEY)
        assert sink.offset(KEY) == 0
        write(writer, b"12345").flush()
        assert sink.offset(KEY) == 5
        writer.close()
        assert sink.offset(KEY) == 5

    def test_there_is_no_offset_of_what_is_not_being_written(self, sink: ResumableSink) -> None:
        keep(sink, KEY, b"bytes")
        for key in (KEY, NOWHERE):
            with pytest.raises(NoSuchKey):
                sink.offset(key)

    def test_nothing_that_is_committed_or_was_never_begun_can_be_resumed(self, sink: ResumableSink) -> None:
        keep(sink, KEY, b"bytes")
        for key in (KEY, NOWHERE):
            with pytest.raises(NoSuchKey):
                sink.resume(key)

    def test_a_second_writer_is_held_off_until_the_first_lets_go(self, sink: ResumableSink) -> None:
        first = write(sink.create_resumable(KEY), b"one")
        with pytest.raises(KeyLocked):
            sink.resume(KEY)
        leave(first)
        second = sink.resume(KEY)
        with pytest.raises(KeyLocked):
            sink.resume(KEY)
        write(second, b"two").commit()
        assert read(sink, KEY) == b"onetwo"

    def test_what_is_open_can_be_read_by_others_and_nothing_else_can(self, sink: ResumableSink) -> None:
        with write(sink.create_resumable(KEY), b"0123456789") as writer:
            writer.flush()
            with sink.open_partial(KEY, 4) as reader:
                assert reader.read() == b"456789"
            with pytest.raises(NoSuchKey):
                sink.open(KEY)
        keep(sink, ANOTHER, b"kept")
        for key in (ANOTHER, NOWHERE):
            with pytest.raises(NoSuchKey):
                sink.open_partial(key)

    def test_a_whole_write_can_be_read_before_its_commit(self, sink: ResumableSink) -> None:
        """A virus scanner reads it."""
        leave(write(sink.create_resumable(KEY), b"01234"))
        writer = write(sink.resume(KEY), b"56789")
        writer.make_readable()
        with sink.open_partial(KEY) as reader:
            assert reader.read() == b"0123456789"
        writer.close()
        writer = sink.resume(KEY)
        assert (writer.offset, sink.offset(KEY)) == (10, 10)
        with sink.open_partial(KEY, 4) as reader:
            assert reader.read() == b"456789"
        writer.commit()
        assert (read(sink, KEY), listed(sink)) == (b"0123456789", {(KEY, 10, False)})

    def test_an_open_write_can_be_cut_and_goes_on_there(self, sink: ResumableSink) -> None:
        leave(write(sink.create_resumable(KEY), b"0123456789"))
        writer = sink.resume(KEY)
        writer.truncate(4)
        assert writer.offset == sink.offset(KEY) == 4
        write(writer, b"abc").commit()
        assert read(sink, KEY) == b"0123abc"

    def test_the_latest_note_is_found_by_whoever_goes_on_and_goes_with_the_write(self, sink: ResumableSink) -> None:
        assert sink.read_checkpoint(KEY) == ""
        with write(sink.create_resumable(KEY), b"one") as writer:
            for note in ("a rather long first note", "short", "the last: é"):
                writer.save_checkpoint(note)
                writer.flush()
                assert sink.read_checkpoint(KEY) == note
        writer = sink.resume(KEY)
        assert sink.read_checkpoint(KEY) == "the last: é"
        assert listed(sink) == {(KEY, 3, True)}
        writer.commit()
        assert (sink.read_checkpoint(KEY), listed(sink)) == ("", {(KEY, 3, False)})

    @pytest.mark.parametrize("way", ["abort", "delete"])
    def test_a_note_goes_with_its_write(self, sink: ResumableSink, way: str) -> None:
        writer = write(sink.create_resumable(KEY), b"one")
        writer.save_checkpoint("noted")
        writer.abort() if way == "abort" else sink.delete(KEY)
        assert (sink.read_checkpoint(KEY), listed(sink)) == ("", set())

    def test_what_is_being_written_cannot_be_begun_again(self, sink: ResumableSink) -> None:
        with sink.create_resumable(KEY), pytest.raises(KeyLocked):
            sink.create_resumable(KEY)

    def test_a_writer_that_was_aborted_holds_nobody_off(self, sink: ResumableSink) -> None:
        write(sink.create_resumable(KEY), b"one").abort()
        with sink.create_resumable(KEY) as again:
            assert again.offset == 0

    # Reading

    def test_reading_may_start_anywhere(self, sink: ResumableSink) -> None:
        keep(sink, KEY, b"0123456789")
        assert [read(sink, KEY, start) for start in (0, 3, 9, 10, 11)] == [b"0123456789", b"3456789", b"9", b"", b""]

    def test_there_is_nothing_to_read_where_nothing_is_kept(self, sink: ResumableSink) -> None:
        with pytest.raises(NoSuchKey):
            sink.open(NOWHERE)
        assert sink.size(NOWHERE) is None

    def test_a_reader_reads_on_while_its_bytes_are_deleted(self, sink: ResumableSink) -> None:
        keep(sink, KEY, b"0123456789")
        with sink.open(KEY) as reader:
            assert reader.read(5) == b"01234"
            sink.delete(KEY)
            assert reader.read() == b"56789"

    # Deleting and looking round

    def test_deleting_removes_what_is_kept_and_may_be_done_again(self, sink: ResumableSink) -> None:
        keep(sink, KEY, b"bytes")
        keep(sink, ANOTHER, b"others")
        for _ in range(2):
            sink.delete(KEY)
        assert listed(sink) == {(ANOTHER, 6, False)}
        with pytest.raises(NoSuchKey):
            sink.open(KEY)

    def test_deleting_removes_what_is_left_open(self, sink: ResumableSink) -> None:
        leave(write(sink.create_resumable(KEY), b"bytes"))
        sink.delete(KEY)
        assert listed(sink) == set()
        with pytest.raises(NoSuchKey):
            sink.offset(KEY)

    def test_walking_meets_everything_once_committed_or_partial(self, sink: ResumableSink) -> None:
        assert listed(sink) == set()
        sink.set_identity("6f1b")
        keep(sink, KEY, b"bytes")
        keep(sink, NOWHERE, b"bytes elsewhere")
        leave(write(sink.create_resumable(ANOTHER), b"par"))
        found = list(sink.walk())
        assert len(found) == 3
        assert listed(sink) == {(KEY, 5, False), (NOWHERE, 15, False), (ANOTHER, 3, True)}
        for stored in found:
            assert abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=1)

    def test_free_room_is_a_number_or_has_no_meaning(self, sink: ResumableSink) -> None:
        free = sink.free()
        assert free is None or free > 0

    def test_a_place_says_the_mark_it_was_given_and_none_before(self, sink: ResumableSink) -> None:
        assert sink.identity() is None
        for mark in ("6f1b", "77aa"):
            sink.set_identity(mark)
            assert sink.identity() == mark

    # When the place fails

    def test_no_descriptor_stays_open(self, sink: ResumableSink) -> None:
        if not Path("/proc/self/fd").exists():
            pytest.skip("open descriptors are counted in /proc, which this system has not")
        keep(sink, KEY, b"bytes")
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for number in range(20):
            keep(sink, f"0b{number:02}", b"bytes")
            sink.create(f"1b{number:02}").abort()
            leave(write(sink.create_resumable(f"2b{number:02}"), b"x"))
            sink.resume(f"2b{number:02}").close()
            read(sink, KEY)
            with pytest.raises(NoSuchKey):
                sink.resume(NOWHERE)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
