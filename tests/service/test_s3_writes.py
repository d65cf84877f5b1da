"""Writes to an S3 store: parts, tails and records, and what a write survives."""

import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from tests.support.s3_sinks import NOTHING, leftovers, make_s3_sink, multiparts, objects
from tests.support.sinks import KEY, leave, listed, read, write
from tests.support.waiting import wait_until
from uploads.models import OpenPart, OpenWrite
from uploads.sinks.base import KeyLocked, SinkError
from uploads.sinks.resumable import ResumableWriter
from uploads.sinks.s3.multipart import Multipart
from uploads.sinks.s3.open_writes import LockLost
from uploads.sinks.s3.sink import S3Sink

MB = 1024**2
PART = 8 * MB
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sink(object_store: ObjectStore) -> S3Sink:
    return make_s3_sink(object_store)


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(1).randbytes(27 * MB)


def feed(writer: ResumableWriter, content: bytes, *, piece: int = 256 * 1024) -> None:
    """Write as a session does: with a checkpoint whenever one is wanted."""
    for start in range(0, len(content), piece):
        data = content[start : start + piece]
        if writer.wants_checkpoint(len(data)):
            writer.save_checkpoint(f"at {writer.offset}")
        writer.write(data)


def pause(writer: ResumableWriter) -> None:
    writer.save_checkpoint(f"at {writer.offset}")
    leave(writer)


def take_over(sink: S3Sink) -> ResumableWriter:
    """Resume as if the holder had been frozen for longer than its lease."""
    while True:
        OpenWrite.objects.update(held_until=Now() - timedelta(seconds=1))
        with suppress(KeyLocked):  # it was renewed in between
            return sink.resume(KEY)


# In one request


@pytest.mark.parametrize("size", [27 * MB, 2 * PART, PART, PART + 1, 5])
def test_content_of_any_size_is_whole_and_leaves_nothing_else(sink: S3Sink, content: bytes, size: int) -> None:
    writer = sink.create(KEY, size=size)
    for start in range(0, size, 700_000):
        writer.write(memoryview(content)[start : min(start + 700_000, size)])
    writer.commit()
    assert read(sink, KEY) == content[:size]
    assert leftovers(sink) == NOTHING


def test_a_write_in_parts_has_a_record_until_it_ends(sink: S3Sink, content: bytes) -> None:
    writer = write(sink.create(KEY), content)
    assert (len(multiparts(sink)), OpenWrite.objects.count()) == (1, 1)
    assert listed(sink) == set()
    writer.abort()
    assert (objects(sink), leftovers(sink)) == ({}, NOTHING)


def test_a_write_of_a_process_that_died_is_aborted_and_no_other(sink: S3Sink, content: bytes) -> None:
    died = write(sink.create(KEY), content)
    alive = write(sink.create("alive", size=len(content)), content)
    OpenWrite.objects.filter(key=KEY).update(held_until=Now() - timedelta(hours=1), token=None)
    assert sink.abort_abandoned() == 1
    assert (len(multiparts(sink)), OpenWrite.objects.get().key) == (1, "alive")
    with pytest.raises(SinkError):
        died.commit()
    alive.commit()
    assert (objects(sink), leftovers(sink)) == ({"content/alive": len(content)}, NOTHING)


def test_a_jump_of_the_clock_aborts_nothing(sink: S3Sink, content: bytes) -> None:
    writer = write(sink.create(KEY), content)
    OpenWrite.objects.update(held_until=Now() - timedelta(hours=1))
    assert sink.abort_abandoned() == 0
    writer.commit()
    assert read(sink, KEY) == content


# Over several requests


def test_a_write_goes_on_from_parts_and_tail(sink: S3Sink, content: bytes) -> None:
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content[: 11 * MB])
    pause(writer)
    assert (sink.offset(KEY), sink.read_checkpoint(KEY)) == (11 * MB, f"at {11 * MB}")
    tails = [size for name, size in objects(sink).items() if name.startswith("partial/")]
    assert len(tails) == 1
    writer = sink.resume(KEY)
    assert writer.readable_from == 11 * MB - tails[0]
    feed(writer, content[11 * MB : 12 * MB])
    pause(writer)
    writer = sink.resume(KEY)
    feed(writer, content[12 * MB :])
    writer.commit()
    assert read(sink, KEY) == content
    assert leftovers(sink) == NOTHING


def test_a_rest_that_is_large_enough_becomes_a_part(sink: S3Sink, content: bytes) -> None:
    for start in (0, 6 * MB, 12 * MB):
        writer = sink.resume(KEY) if start else sink.create_resumable(KEY, size=18 * MB)
        feed(writer, content[start : start + 6 * MB])
        pause(writer)
        assert objects(sink) == {}
    assert list(OpenPart.objects.order_by("number").values_list("size", flat=True)) == [6 * MB] * 3
    sink.resume(KEY).commit()
    assert read(sink, KEY) == content[: 18 * MB]
    assert leftovers(sink) == NOTHING


def test_bytes_after_the_last_checkpoint_are_lost_with_their_writer(sink: S3Sink, content: bytes) -> None:
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content[: 10 * MB])
    kept = sink.offset(KEY)
    assert kept > 5 * MB
    writer.close()  # as a kill does, and as a request does whose checksum was wrong
    assert writer.offset == sink.offset(KEY) == kept
    writer = sink.resume(KEY)
    assert sink.read_checkpoint(KEY) == f"at {kept}"
    feed(writer, content[kept:])
    writer.commit()
    assert read(sink, KEY) == content


def test_parts_without_a_checkpoint_count_only_from_the_next_one_on(sink: S3Sink, content: bytes) -> None:
    """As with a checksum, which is verified after the last byte."""
    leave(write(sink.create_resumable(KEY, size=len(content)), content[:1000]))
    write(sink.resume(KEY), content[1000:]).close()
    assert sink.offset(KEY) == 1000
    pause(write(sink.resume(KEY), content[1000:]))
    assert sink.offset(KEY) == len(content)
    sink.resume(KEY).commit()
    assert read(sink, KEY) == content
    assert leftovers(sink) == NOTHING


def test_parts_cannot_be_cut(sink: S3Sink, content: bytes) -> None:
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content[: 11 * MB])
    pause(writer)
    writer = sink.resume(KEY)
    with pytest.raises(SinkError):
        sink.open_partial(KEY, writer.readable_from - 1)
    writer.truncate(writer.readable_from + 1)
    assert writer.offset == writer.readable_from + 1
    writer.truncate(writer.readable_from - 1)
    assert (writer.offset, sink.offset(KEY)) == (0, 0)
    write(writer, content).commit()
    assert read(sink, KEY) == content
    assert leftovers(sink) == NOTHING


def test_an_aborted_write_leaves_neither_parts_nor_tails(sink: S3Sink, content: bytes) -> None:
    for way in ("abort", "delete"):
        writer = sink.create_resumable(KEY, size=len(content))
        feed(writer, content[: 11 * MB])
        pause(writer)
        assert leftovers(sink) != NOTHING
        sink.resume(KEY).abort() if way == "abort" else sink.delete(KEY)
        assert (objects(sink), leftovers(sink)) == ({}, NOTHING)


def test_content_that_was_made_readable_is_deleted_with_its_write(sink: S3Sink, content: bytes) -> None:
    """As when a virus scanner has read it."""
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content)
    writer.make_readable()
    with sink.open_partial(KEY) as reader:
        assert reader.read() == content
    writer.abort()
    assert (objects(sink), leftovers(sink)) == ({}, NOTHING)


# Two holders


def frozen(sink: S3Sink, content: bytes) -> ResumableWriter:
    """A Writer with bytes in memory and in parts, that another holder is about to replace."""
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content[: 9 * MB])
    pause(writer)
    writer = sink.resume(KEY)
    feed(writer, content[9 * MB : 10 * MB])
    return writer


@pytest.mark.parametrize(
    "late",
    [
        lambda writer: writer.write(b"x" * 20 * MB),
        lambda writer: pause(writer),
        lambda writer: writer.flush(),
        lambda writer: writer.truncate(0),
        lambda writer: writer.commit(),
        lambda writer: writer.abort(),
        lambda writer: writer.close(),
    ],
    ids=["write", "pause", "flush", "truncate", "commit", "abort", "close"],
)
def test_a_holder_that_froze_changes_nothing_when_it_thaws(
    sink: S3Sink, content: bytes, late: Callable[[ResumableWriter], None]
) -> None:
    first = frozen(sink, content)
    second = take_over(sink)
    feed(second, content[9 * MB : 20 * MB])
    second.save_checkpoint("second")
    second.flush()
    before = (sink.offset(KEY), sink.read_checkpoint(KEY), objects(sink), multiparts(sink))
    with pytest.raises(LockLost):
        late(first)
    assert (sink.offset(KEY), sink.read_checkpoint(KEY), objects(sink), multiparts(sink)) == before
    feed(second, content[20 * MB :])
    second.commit()
    assert read(sink, KEY) == content
    assert leftovers(sink) == NOTHING


def test_a_holder_hears_that_it_was_replaced(sink: S3Sink, content: bytes) -> None:
    first, heard = frozen(sink, content), threading.Event()
    first.call_when_lost(heard.set)
    second = take_over(sink)
    wait_until(heard.is_set)
    with pytest.raises(LockLost):
        first.write(b"late")
    second.abort()


def test_a_lease_is_renewed_while_its_holder_lives(sink: S3Sink) -> None:
    with sink.create_resumable(KEY):
        OpenWrite.objects.update(held_until=Now() - timedelta(seconds=1))
        wait_until(lambda: OpenWrite.objects.filter(held_until__gt=Now()).exists())
        with pytest.raises(KeyLocked):
            sink.resume(KEY)


def test_no_part_number_is_given_twice(sink: S3Sink, content: bytes) -> None:
    """A part that a frozen holder sends late must not replace another holder's."""
    frozen(sink, content)
    given = take_over(sink)._held.next_part()  # type: ignore[attr-defined]
    writer = take_over(sink)
    feed(writer, content[9 * MB :])
    writer.save_checkpoint("with the last part")
    numbers = list(OpenPart.objects.values_list("number", flat=True))
    assert len(set(numbers)) == len(numbers) > 2
    assert given not in numbers
    writer.commit()
    assert read(sink, KEY) == content


# Answers that are lost


@pytest.fixture
def relayed(object_store: ObjectStore) -> "tuple[S3Sink, Relay]":
    relay = Relay(object_store.ports["s3.port"])
    return make_s3_sink(object_store, relay.url), relay


def lose_answer_of(sink: S3Sink, relay: Relay, operation: str) -> None:
    """Once."""
    events, event = sink.bucket.client.meta.events, f"before-send.s3.{operation}"

    def lose(**_: object) -> None:
        events.unregister(event, lose)
        relay.lose_next_answer()

    events.register(event, lose)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("resumable", [False, True])
def test_a_write_survives_a_lost_answer(
    relayed: tuple[S3Sink, Relay], content: bytes, operation: str, resumable: bool
) -> None:
    sink, relay = relayed
    lose_answer_of(sink, relay, operation)
    writer = sink.create_resumable(KEY) if resumable else sink.create(KEY)
    write(writer, content).commit()
    assert read(sink, KEY) == content
    if operation != "CreateMultipartUpload":  # the sweep aborts one whose id nobody knows
        assert leftovers(sink) == NOTHING


def test_a_small_write_survives_a_lost_answer(relayed: tuple[S3Sink, Relay]) -> None:
    sink, relay = relayed
    lose_answer_of(sink, relay, "PutObject")
    write(sink.create(KEY), b"small").commit()
    assert (read(sink, KEY), leftovers(sink)) == (b"small", NOTHING)


def test_an_object_whose_holder_did_not_hear_of_it_is_found_by_the_next(sink: S3Sink, content: bytes) -> None:
    """The holder was killed, or has lost the store for good, between the object and the record."""
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content)
    pause(writer)
    writer = sink.resume(KEY)
    writer._held.end = lambda: None  # type: ignore[attr-defined]
    writer.commit()
    assert sink.offset(KEY) == len(content)
    with sink.open_partial(KEY, 3) as reader:
        assert reader.read() == content[3:]
    take_over(sink).abort()  # for this Writer it may be the object of a file
    assert read(sink, KEY) == content
    assert leftovers(sink) == NOTHING


def test_an_object_whose_holder_did_not_hear_of_it_is_completed_by_the_next(sink: S3Sink, content: bytes) -> None:
    writer = sink.create_resumable(KEY, size=len(content))
    feed(writer, content)
    writer.make_readable()
    again = take_over(sink)
    assert (again.offset, again.readable_from) == (len(content), 0)
    again.commit()
    assert read(sink, KEY) == content
    assert leftovers(sink) == NOTHING


def test_an_upload_that_the_store_forgot_is_complete_if_the_object_has_its_parts(
    sink: S3Sink, content: bytes
) -> None:
    name = sink.bucket.content(KEY)
    upload = Multipart.begin(sink.bucket, name)
    parts = [
        upload.send(number, bytearray(content[start : start + PART]))
        for number, start in enumerate(range(0, len(content), PART), 1)
    ]
    upload.complete(parts)
    forgotten = Multipart(sink.bucket, name, "0" * 32)
    forgotten.complete(parts)
    for others in (parts[:-1], [replace(parts[0], etag=parts[1].etag), *parts[1:]]):
        with pytest.raises(SinkError):
            forgotten.complete(others)


def test_parts_that_are_gone_are_no_success(sink: S3Sink, content: bytes) -> None:
    writer = write(sink.create(KEY), content)
    [multipart] = multiparts(sink)
    name = sink.bucket.content(KEY)
    sink.bucket.client.abort_multipart_upload(Bucket=sink.bucket.name, Key=name, UploadId=multipart)
    with pytest.raises(SinkError):
        writer.commit()
    assert (objects(sink), leftovers(sink)) == ({}, NOTHING)


def test_the_memory_of_a_write_is_one_part(sink: S3Sink) -> None:
    piece = memoryview(os.urandom(MB))
    with sink.create(KEY, size=40 * MB) as writer:
        sizes = set()
        for _ in range(40):
            writer.write(piece)
            sizes.add(len(writer._buffer.content()))  # type: ignore[attr-defined]
    assert max(sizes) == PART
