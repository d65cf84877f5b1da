"""Move one Blob to another store, whatever else happens to its files meanwhile."""

import os
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models.functions import Now
from model_bakery import baker

from media_jobs.models import Job, Worker
from tests.support.local_store import Film, an_owner, own_disk, stored_keys, upload
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from uploads.content.intake import Intake
from uploads.maintenance.housekeeping import remove_bytes, write_sidecars
from uploads.models import Blob, MediaFile, SidecarChange, Tombstone
from uploads.sinks import crash_points
from uploads.sinks.base import Sink, SinkError
from uploads.sinks.crash_points import Step
from uploads.sinks.local.sink import LocalSink
from uploads.storage.blob_move import CopyDiffers, Outcome, Route, move_blob
from uploads.storage.blobs import new_key, open_blob, store
from uploads.storage.files import create_file, delete_file, keep_from_deletion, rename_file
from uploads.storage.marker import claim_store
from uploads.storage.sidecars import Sidecar, name_of
from uploads.storage.stores import sinks

pytestmark = pytest.mark.django_db
Commits = Callable[..., Any]  # pytest-django's django_capture_on_commit_callbacks


@pytest.fixture
def local(settings: Any, tmp_path: Any) -> LocalSink:
    return own_disk(settings, tmp_path / "media")


@pytest.fixture(scope="module")
def bucket_name(object_store: ObjectStore) -> str:
    return object_store.make_bucket()


@pytest.fixture
def bucket(local: LocalSink, settings: Any, object_store: ObjectStore, bucket_name: str) -> Sink:
    entry = object_store.storage(bucket_name, uuid.uuid4().hex)
    settings.STORAGES = settings.STORAGES | {"millrace-bucket": entry}
    _, found = sinks()
    claim_store(found)
    return found


@pytest.fixture
def route(local: LocalSink, bucket: Sink) -> Route:
    return Route(local, bucket, timedelta(0))


def keys_in(place: Sink) -> set[str]:
    return {stored.key for stored in place.walk()}


def content_of(file: MediaFile) -> bytes:
    with open_blob(MediaFile.objects.get(pk=file.pk).blob) as reader:
        return reader.read()


def store_of(file: MediaFile) -> str:
    return MediaFile.objects.get(pk=file.pk).blob.sink


def upload_into(place: Sink, content: bytes, name: str = "twin.mp4") -> MediaFile:
    owner = an_owner()
    with place.create(new_key(), size=len(content)) as writer:
        intake = Intake(writer, grow=int, granted=len(content))
        intake.feed(content)
        attach = lambda blob: create_file(owner.pk, name, blob, MediaFile.Origin.UPLOAD)  # noqa: E731
        return store(writer, intake.finish(), attach, into=place)


def move(file: MediaFile, route: Route, meanwhile: Callable[[], object] = lambda: None) -> Outcome:
    """`meanwhile` is done once, while the bytes are copied."""
    todo = [meanwhile]
    return move_blob(Blob.objects.get(files=file), route, lambda _: todo and todo.pop()())


def sidecar_in(place: Sink, file: MediaFile) -> Sidecar:
    key = Blob.objects.get(files=file).key
    return Sidecar.parse(place.sidecars.read(name_of(key, file.pk)))


def assert_nothing_is_left_behind(place: Sink) -> None:
    assert keys_in(place) == set()
    assert not Blob.objects.filter(sink=place.name).exists()
    assert list(place.sidecars.names()) == []


def test_a_moved_blob_is_whole_and_described_in_the_other_store_and_leaves_the_first(
    local: LocalSink, bucket: Sink, route: Route, film: Film
) -> None:
    content = film()
    file = upload(an_owner(), content)
    write_sidecars()
    before = Blob.objects.get()
    assert move(file, route) == Outcome.MOVED
    after = Blob.objects.get()
    assert (after.pk, after.sink, after.state, after.sha256) == (before.pk, bucket.name, "stored", before.sha256)
    assert (content_of(file), stored_keys(local)) == (content, {before.key})
    write_sidecars()
    assert sidecar_in(bucket, file).name == "film.mp4"
    remove_bytes()
    assert (list(local.sidecars.names()), keys_in(bucket)) == ([], {after.key})
    assert_nothing_is_left_behind(local)
    assert not Tombstone.objects.exists()


def test_it_moves_back_from_the_other_store(local: LocalSink, bucket: Sink, route: Route, film: Film) -> None:
    content = film()
    file = upload_into(bucket, content)
    assert move(file, Route(bucket, local, timedelta(0))) == Outcome.MOVED
    assert (store_of(file), content_of(file)) == ("local", content)
    write_sidecars()
    remove_bytes()
    assert_nothing_is_left_behind(bucket)


def test_old_bytes_stay_until_their_time_is_over_and_jobs_that_began_before_have_ended(
    local: LocalSink, bucket: Sink, film: Film
) -> None:
    file = upload(an_owner(), film())
    move(file, Route(local, bucket, timedelta(hours=1)))
    write_sidecars()
    remove_bytes()
    assert len(stored_keys(local)) == 1
    Tombstone.objects.update(due_at=Now() - timedelta(minutes=1))
    worker = baker.make(Worker, lane="quick", seen_at=Now(), heard_at=Now())
    running = baker.make(
        Job, owner=file.owner, operation="thumbnail", version=1, file=file, status="running", worker=worker,
        token="0b5c6c1e-0000-4000-8000-000000000001", lease_until=Now(), started_at=Now() - timedelta(hours=2),
        lane="quick", phase="working",
    )  # fmt: skip
    remove_bytes()
    assert len(stored_keys(local)) == 1
    Job.objects.filter(pk=running.pk).update(started_at=Now())  # another one, which knows the new place
    remove_bytes()
    assert_nothing_is_left_behind(local)


def test_a_reader_goes_on_in_the_other_store_when_the_old_bytes_are_gone(
    local: LocalSink, settings: Any, object_store: ObjectStore, bucket_name: str, film: Film
) -> None:
    content = film(20_000_000)
    with Relay(object_store.ports["s3.port"]) as relay:
        entry = object_store.storage(bucket_name, uuid.uuid4().hex)
        entry["OPTIONS"]["endpoint_url"] = relay.url
        settings.STORAGES = settings.STORAGES | {"millrace-bucket": entry}
        _, bucket = sinks()
        claim_store(bucket)
        file = upload_into(bucket, content)
        with open_blob(file.blob) as reader, file.content as opened:
            assert reader.read(100_000) + opened.read(10) == content[:100_000] + content[:10]
            assert move(file, Route(bucket, local, timedelta(0))) == Outcome.MOVED
            write_sidecars()
            remove_bytes()
            assert_nothing_is_left_behind(bucket)
            relay.cut()
            assert b"".join(iter(lambda: reader.read(1024**2), b"")) == content[100_000:]
            opened.seek(-10, os.SEEK_END)
            assert opened.read() == content[-10:]


def test_files_get_the_blob_of_the_other_store_that_has_equal_content(
    local: LocalSink, bucket: Sink, route: Route, film: Film, django_capture_on_commit_callbacks: Commits
) -> None:
    content = film()
    first, second, twin = upload(an_owner(), content), upload(an_owner(), content), upload_into(bucket, content)
    Blob.objects.filter(sink="local").update(facts={"duration": 3})
    write_sidecars()
    assert move(first, route, pytest.fail) == Outcome.MERGED  # without a copy
    [blob] = Blob.objects.all()
    assert (blob.sink, blob.facts, blob.files.count()) == (bucket.name, {"duration": 3}, 3)
    write_sidecars()
    remove_bytes()
    assert_nothing_is_left_behind(local)
    assert {sidecar_in(bucket, file).file for file in (first, second, twin)} == {first.pk, second.pk, twin.pk}
    # These rows were read before the move.
    assert keep_from_deletion([first, second]) == {first.pk, second.pk}
    with django_capture_on_commit_callbacks(execute=True):
        assert delete_file(first)
    assert content_of(second) == content


def test_a_blob_whose_bytes_are_lost_is_whole_again_by_equal_content_of_the_other_store(
    local: LocalSink, bucket: Sink, route: Route, film: Film
) -> None:
    content = film()
    file = upload(an_owner(), content)
    local.local_path(file.blob.key).unlink()
    assert move(file, route) == Outcome.MISSING
    assert (store_of(file), keys_in(bucket)) == ("local", set())
    upload_into(bucket, content)
    assert move(file, route) == Outcome.MERGED
    assert content_of(file) == content


def test_damaged_bytes_stay_where_they_are(local: LocalSink, bucket: Sink, route: Route, film: Film) -> None:
    file = upload(an_owner(), film())
    path = local.local_path(file.blob.key)
    content = path.read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:-1], content + b"x"):
        path.write_bytes(damaged)
        assert move(file, route) == Outcome.DAMAGED
    assert (store_of(file), stored_keys(local), keys_in(bucket)) == ("local", {file.blob.key}, set())
    assert Blob.objects.get().sink == "local"


def test_a_file_that_is_deleted_during_the_copy_stays_deleted(
    local: LocalSink, bucket: Sink, route: Route, film: Film, django_capture_on_commit_callbacks: Commits
) -> None:
    file = upload(an_owner(), film())
    with django_capture_on_commit_callbacks(execute=True):
        assert move(file, route, lambda: delete_file(file)) == Outcome.GONE
    write_sidecars()
    assert_nothing_is_left_behind(bucket)
    assert_nothing_is_left_behind(local)


def test_a_name_that_is_changed_during_the_move_is_in_the_sidecar(
    local: LocalSink, bucket: Sink, route: Route, film: Film
) -> None:
    file, stale = upload(an_owner(), film()), MediaFile.objects.select_related("blob").get()
    move(file, route, lambda: rename_file(stale, "during.mp4"))
    write_sidecars()
    assert sidecar_in(bucket, file).name == "during.mp4"
    rename_file(stale, "after.mp4")  # by a request that had read the row before the move
    write_sidecars()
    assert sidecar_in(bucket, file).name == "after.mp4"
    assert (list(local.sidecars.names()), SidecarChange.objects.count()) == ([], 0)


def test_equal_bytes_that_are_uploaded_during_the_copy_are_stored_once(
    local: LocalSink, bucket: Sink, route: Route, film: Film
) -> None:
    content = film()
    file, twins = upload(an_owner(), content), list[MediaFile]()
    assert move(file, route, lambda: twins.append(upload_into(bucket, content))) == Outcome.MERGED
    assert (store_of(file), content_of(file), content_of(twins[0])) == (bucket.name, content, content)
    assert keys_in(bucket) == {blob.key for blob in Blob.objects.all()}
    assert Blob.objects.count() == 1


def test_a_move_that_is_broken_off_leaves_nothing_in_the_other_store(
    local: LocalSink, bucket: Sink, route: Route, film: Film
) -> None:
    file = upload(an_owner(), film())
    with pytest.raises(KeyboardInterrupt):
        move(file, route, _interrupt)
    assert_nothing_is_left_behind(bucket)
    assert (store_of(file), content_of(file)[:4]) == ("local", film()[:4])


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_copy_that_the_store_returns_with_other_bytes_does_not_count(
    local: LocalSink, bucket: Sink, route: Route, film: Film, object_store: ObjectStore
) -> None:
    file = upload(an_owner(), film())
    client, (name, prefix) = object_store.client(), bucket.name.split("/")[2:]

    def damage(step: Step) -> None:
        if step == Step.DIRECTORY_SYNCED:
            [found] = client.list_objects_v2(Bucket=name, Prefix=f"{prefix}/content/")["Contents"]
            client.put_object(Bucket=name, Key=found["Key"], Body=b"x" * file.size)

    crash_points.listeners.append(damage)
    try:
        with pytest.raises(CopyDiffers, match="returns other bytes"):
            move(file, route)
    finally:
        crash_points.listeners.remove(damage)
    assert isinstance(CopyDiffers(""), SinkError)
    assert_nothing_is_left_behind(bucket)
    assert store_of(file) == "local"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("local", "local", "are the same store"),
        ("local", "s3://elsewhere/media", r"“s3://elsewhere/media” is not configured. Configured are: local, s3://"),
        ("nowhere", "local", "“nowhere” is not configured"),
    ],
)
def test_the_command_refuses_stores_that_it_cannot_move(bucket: Sink, source: str, target: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("move_storage", source, target)


def test_the_command_refuses_a_store_of_another_installation(local: LocalSink, bucket: Sink, film: Film) -> None:
    upload(an_owner(), film())
    bucket.set_identity("11111111-0000-4000-8000-000000000001")
    with pytest.raises(CommandError, match=r"marker of “s3://.*” is missing or belongs to another installation"):
        call_command("move_storage", "local", bucket.name)
    assert len(stored_keys(local)) == 1
