"""What keeps an S3 store in order: few requests for many keys, an outage in the middle, clocks that differ."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.support.local_store import Film, an_owner, lose_rows, own_bucket, quarantined_keys, stored_keys, upload
from tests.support.object_store import READER_KEYS, ObjectStore
from uploads.maintenance.fsck import Defect, find_in_rows, find_in_sidecars, find_in_sink, find_without_sidecar
from uploads.maintenance.rebuild import rebuild
from uploads.maintenance.sweep import sweep
from uploads.models import Blob, MediaFile, OpenWrite, SinkMark, Upload
from uploads.sinks.base import NoSuchKey, Quarantined, SinkError
from uploads.sinks.patience import patience_of
from uploads.sinks.s3 import bucket as bucket_module
from uploads.sinks.s3 import quarantine
from uploads.sinks.s3.sink import S3Sink
from uploads.storage.blobs import new_key
from uploads.storage.marker import UnusableStore, claim_store, is_ours, mark_of, trouble
from uploads.storage.sidecars import name_of, write_changed
from uploads.storage.tombstones import bury

pytestmark = pytest.mark.django_db
MANY = 240
AT_ONCE = timedelta(0)


@pytest.fixture
def place(settings: Any, object_store: ObjectStore) -> S3Sink:
    return own_bucket(settings, object_store)


@contextmanager
def requests_of(place: S3Sink) -> Iterator[Counter[str]]:
    """Count the requests by their operation."""
    counts = Counter[str]()
    events = place.bucket.client.meta.events
    count = lambda model, **_: counts.update([model.name])  # noqa: E731
    events.register("before-call.s3", count)
    try:
        yield counts
    finally:
        events.unregister("before-call.s3", count)


def fill(place: S3Sink, number: int = MANY) -> list[MediaFile]:
    """Many files as they are after uploads: rows, bytes and sidecars."""
    owner, files = an_owner(), []
    for each in range(number):
        key = new_key()
        blob = Blob.objects.create(
            sink=place.name, key=key, sha256=f"{each:064}", size=3, state=Blob.State.STORED, media_type="video/mp4"
        )
        files.append(MediaFile.objects.create(owner=owner, name=f"{each}.mp4", blob=blob))
    Blob.objects.update(created_at=timezone.now() - timedelta(days=1))
    names = [f"content/{file.blob.key}" for file in files]
    sidecars = [f"meta/{name_of(file.blob.key, file.pk)}.json" for file in files]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: place.bucket.put(name, b"abc"), [*names, *sidecars]))
    return files


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a hundred times as many keys, which take minutes to store."""
    monkeypatch.setattr(bucket_module, "_PAGE", 40)
    monkeypatch.setattr(bucket_module, "_SMALL_PAGE", 4)


@pytest.mark.usefixtures("small_pages")
def test_many_keys_are_looked_up_in_few_requests_and_few_keys_in_fewer(place: S3Sink) -> None:
    files = fill(place)
    keys = [file.blob.key for file in files]
    names = {name_of(file.blob.key, file.pk) for file in files}
    with requests_of(place) as counts:
        assert place.sidecars.of(keys) == names
        assert place.sizes(keys) == dict.fromkeys(keys, 3)
    assert counts.keys() == {"ListObjectsV2"}
    assert counts.total() <= 2 * (MANY // 40 + 3)

    absent = [new_key() for _ in range(5)]
    with requests_of(place) as counts:
        assert place.sizes([keys[7], keys[100], *absent]) == {keys[7]: 3, keys[100]: 3}
        assert place.sidecars.of([keys[7], *absent]) == {name_of(keys[7], files[7].pk)}
    assert counts.total() <= 7 + 6
    assert (place.sizes([]), place.sidecars.of([])) == ({}, set())


@pytest.mark.usefixtures("small_pages")
def test_a_sweep_and_a_check_compare_many_keys_with_one_listing(place: S3Sink) -> None:
    files = fill(place)
    lost, orphan = files[5], new_key()
    place.delete(lost.blob.key)
    place.bucket.put(f"content/{orphan}", b"abc")
    with requests_of(place) as counts:
        rows, grace = list(find_in_rows(place)), AT_ONCE
        assert [(one.defect, one.key) for one in rows] == [(Defect.MISSING, lost.blob.key)]
        assert [one.key for one in find_in_sink(place, grace=grace)] == [orphan]
        assert (list(find_without_sidecar(place)), list(find_in_sidecars(place))) == ([], [])
    assert counts["ListObjectsV2"] <= 4 * (MANY // 40 + 3) + 2
    assert counts.total() - counts["ListObjectsV2"] <= 2  # the marker

    assert sweep(place, grace=grace) == 2
    assert quarantined_keys(place) == {orphan}
    assert Blob.objects.get(key=lost.blob.key).state == Blob.State.MISSING


def test_a_check_stops_where_the_store_fails_and_calls_nothing_lost(
    place: S3Sink, film: Film, object_store: ObjectStore
) -> None:
    upload(an_owner(), film())
    found = find_in_rows(place, deep=True)
    object_store.client().delete_object(Bucket=place.bucket.name, Key="media/millrace-store")
    object_store.client().delete_object(Bucket=place.bucket.name, Key=f"media/content/{Blob.objects.get().key}")
    with pytest.raises(SinkError, match="cannot be read any more"):
        list(found)


@pytest.mark.parametrize("ahead", [timedelta(hours=-3), timedelta(hours=3)])
def test_the_age_of_objects_is_by_our_clock(place: S3Sink, ahead: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose clock is slow would make new bytes look abandoned; one whose clock is fast, old bytes new."""

    class OurClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "OurClock":
            return super().now(tz) - ahead

    place.bucket.put(f"content/{new_key()}", b"abc")
    monkeypatch.setattr(bucket_module, "datetime", OurClock)
    [stored] = place.walk()
    assert abs(stored.modified - (datetime.now(UTC) - ahead)) < timedelta(minutes=2)


def test_objects_larger_than_a_request_may_copy_are_moved_in_parts(
    place: S3Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_COPIED_AT_ONCE", 5 * 1024**2)
    quarantine._how_to_copy.cache_clear()
    key, content = new_key(), bytes(range(256)) * 1024 * 44
    with place.create(key, size=len(content)) as writer:
        writer.write(content)
        writer.commit()
    with requests_of(place) as counts:
        place.quarantine.put(key, "unknown")
    assert (counts["UploadPartCopy"], counts["GetObject"]) == (3, 0)
    quarantine._how_to_copy.cache_clear()
    [found] = place.quarantine.entries()
    assert (found.key, found.size, stored_keys(place)) == (key, len(content), set())
    place.quarantine.take_back(found)
    with place.open(key) as reader:
        assert reader.read() == content
    assert list(place.quarantine.entries()) == []


def test_what_a_crash_left_in_both_places_is_moved_again_and_is_not_lost(place: S3Sink) -> None:
    key = new_key()
    place.bucket.put(f"content/{key}", b"abc")
    copy = Quarantined(key, 3, "unknown", datetime.now(UTC) - timedelta(days=1))
    place.bucket.put(f"quarantine/{copy.name}", b"abc")
    assert sweep(place, grace=AT_ONCE) == 1
    first, second = sorted(place.quarantine.entries(), key=lambda found: found.since)
    place.quarantine.take_back(first)
    with pytest.raises(SinkError, match="in use"):
        place.quarantine.take_back(second)
    assert stored_keys(place) == {key}


def test_rows_are_made_from_a_bucket_alone(place: S3Sink, film: Film) -> None:
    owner = an_owner("alice")
    content = film()
    file, lost = upload(owner, content, "a.mp4"), upload(owner, film(), "lost.mp4")
    write_changed(place)
    place.delete(lost.blob.key)
    place.quarantine.put(file.blob.key, "unknown")
    unnamed = new_key()
    place.bucket.put(f"content/{unnamed}", content[:-1])
    lose_rows(accounts=True)
    report = rebuild(place)
    assert (report.files, report.by_key, [one.name for one in report.lost]) == (1, [unnamed], ["lost.mp4"])
    found = MediaFile.objects.get(pk=file.pk)
    assert (found.name, found.owner.username, found.blob.sink) == ("a.mp4", "alice", place.name)
    with found.content as reader:
        assert reader.read() == content


# Stores that cannot be used


def strange(place: S3Sink, settings: Any, **options: Any) -> S3Sink:
    """The same store with other options."""
    entry = settings.STORAGES["millrace"]
    settings.STORAGES = settings.STORAGES | {"millrace": entry | {"OPTIONS": entry["OPTIONS"] | options}}
    from uploads.storage.stores import sink

    found = sink()
    assert isinstance(found, S3Sink)
    return found


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"bucket_name": "there-is-no-such-bucket"}, "The bucket does not exist"),
        ({"access_key": "AKIANOBODY"}, "does not accept the credentials"),
        ({"secret_key": "not the secret"}, "does not accept the credentials"),
        ({"access_key": READER_KEYS[0], "secret_key": READER_KEYS[1]}, "do not allow this.*PutObject"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "does not answer.*AWS_ENDPOINT_URL_S3"),
    ],
)
def test_a_store_that_cannot_be_used_stops_the_start_and_says_why(
    place: S3Sink, settings: Any, options: dict[str, str], why: str
) -> None:
    wrong = strange(place, settings, **options)
    with pytest.raises(UnusableStore, match=why) as refused, patience_of(0):
        claim_store(wrong)
    assert SinkMark.objects.filter(sink=wrong.name).exists() is (wrong.name == place.name)
    with patience_of(0):
        assert trouble(wrong, mark_of(place)) in refused.value.detail


def test_a_marker_that_was_read_just_now_is_not_read_for_each_upload(place: S3Sink) -> None:
    assert is_ours(place)
    with requests_of(place) as counts:
        assert all(is_ours(place) for _ in range(10))
    assert not counts
    assert place.identity()


def test_an_object_that_nobody_has_is_no_error_of_the_store(place: S3Sink) -> None:
    for ask in (lambda: place.open("nothing"), lambda: place.sidecars.read("nothing")):
        with pytest.raises(NoSuchKey):
            ask()
    assert json.dumps(place.sizes(["nothing"])) == "{}"


# What killed processes leave


def left(place: S3Sink) -> set[str]:
    """The names of all multipart uploads and tails."""
    return {found.name for found in place.fragments()}


def multipart_upload(place: S3Sink, name: str, *parts: bytes) -> str:
    """One that no record names."""
    client, bucket, name = place.bucket.client, place.bucket.name, place.bucket.object(name)
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=name)["UploadId"]
    for number, part in enumerate(parts, 1):
        client.upload_part(Bucket=bucket, Key=name, UploadId=upload_id, PartNumber=number, Body=part)
    return upload_id


def test_nothing_is_left_of_writes_that_no_record_names_and_no_received_byte_is_deleted_by_a_guess(
    place: S3Sink, settings: Any
) -> None:
    ended, unknown = new_key(), new_key()
    bury(place.name, ended)
    without_bytes = {
        multipart_upload(place, f"content/{unknown}"),
        multipart_upload(place, "quarantine/copy", b"abc"),
    }
    of_ended = {multipart_upload(place, f"content/{ended}", b"abc"), f"{ended}.tail"}
    received = {multipart_upload(place, f"content/{unknown}", b"abc"), f"{unknown}.tail"}
    for key in (ended, unknown):
        place.bucket.put(f"partial/{key}.tail", b"abc")
    assert sweep(place) == 0  # they are young: their records may just be written
    assert left(place) == without_bytes | of_ended | received
    assert sweep(place, grace=AT_ONCE) == 4
    assert left(place) == received

    settings.UPLOADS = replace(settings.UPLOADS, quarantine_kept=0)
    assert "Left of writes that ended: 2" in fsck("--grace", "0")
    assert left(place) == received
    assert "deleted" in fsck("--repair", "--grace", "0")
    assert left(place) == set()


def test_living_writes_keep_what_they_have_sent(place: S3Sink, settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quarantine_kept=0)
    key, content = arriving_upload(place).key, bytes(9 * 1024**2)
    with place.create_resumable(key, size=len(content) + 100) as writer:
        writer.write(content)
        writer.flush()
        writer.write(content[:100])
        writer.flush()
    sent = left(place)
    stale = multipart_upload(place, f"content/{key}", b"abc")  # the answer was lost, and the request repeated
    assert len(sent) == 2
    assert sweep(place, grace=AT_ONCE) == 1
    assert (left(place), stale in sent) == (sent, False)
    writer = place.resume(key)
    writer.commit()
    assert (place.size(key), left(place)) == (len(content) + 100, set())


def test_a_resumable_write_is_aborted_once_its_upload_is_not_arriving_any_more(place: S3Sink) -> None:
    kept, without_row = arriving_upload(place), new_key()
    for key in (kept.key, without_row):
        with place.create_resumable(key, size=100) as writer:
            writer.write(b"abc")
            writer.flush()
    assert place.abort_abandoned() == 1
    assert {found.key for found in place.fragments()} == {kept.key}
    kept.delete()
    assert place.abort_abandoned() == 1
    assert (left(place), OpenWrite.objects.count()) == (set(), 0)


def arriving_upload(place: S3Sink) -> Upload:
    key = new_key()
    return Upload.objects.create(
        pk=key, key=key, owner=an_owner(), name="a.mp4", protocol="tus", sink=place.name,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip


def fsck(*words: str) -> str:
    printed = StringIO()
    call_command("fsck", *words, stdout=printed)
    return printed.getvalue()
