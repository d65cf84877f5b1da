"""Chores and commands look after every configured store, not only the one for new bytes."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from tests.support.local_store import (
    Film,
    an_owner,
    former_bucket,
    lose_rows,
    own_disk,
    quarantine_long_ago,
    quarantined_keys,
    stored_keys,
    upload,
)
from tests.support.object_store import ObjectStore
from uploads.hooks import current_warnings
from uploads.maintenance import housekeeping, sweep
from uploads.maintenance.housekeeping import purge_quarantine, remove_bytes, sweep_stores, write_sidecars
from uploads.maintenance.rebuild import rebuild
from uploads.models import Blob, MediaFile, SidecarChange, SinkMark
from uploads.sinks.base import Sink, SinkError
from uploads.sinks.local.sink import LocalSink
from uploads.sinks.patience import patience_of
from uploads.sinks.s3.sink import S3Sink
from uploads.storage.blobs import new_key
from uploads.storage.sidecars import changed, name_of
from uploads.storage.stores import sinks

pytestmark = pytest.mark.django_db


@pytest.fixture
def local(settings: Any, tmp_path: Path) -> LocalSink:
    return own_disk(settings, tmp_path / "media")


@pytest.fixture
def former(local: LocalSink, settings: Any, object_store: ObjectStore) -> S3Sink:
    return former_bucket(settings, object_store)


@pytest.fixture
def orphans(local: LocalSink, former: S3Sink) -> dict[Sink, str]:
    """A key in each store that nothing names."""
    keys: dict[Sink, str] = {place: new_key() for place in (local, former)}
    for place, key in keys.items():
        store(place, key, b"abc")
    return keys


def store(place: Sink, key: str, content: bytes) -> None:
    with place.create(key) as writer:
        writer.write(content)
        writer.commit()


def sweep_without_grace(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(housekeeping, "sweep", lambda place: sweep.sweep(place, timedelta(0)))
    return sweep_stores()


def run(command: str, *words: str) -> str:
    printed = StringIO()
    call_command(command, *words, stdout=printed)
    return printed.getvalue()


def move_row(file: MediaFile, place: Sink, content: bytes) -> MediaFile:
    """As `move-storage` leaves it."""
    key = new_key()
    store(place, key, content)
    Blob.objects.filter(pk=file.blob_id).update(sink=place.name, key=key)
    moved = MediaFile.objects.select_related("blob").get(pk=file.pk)
    changed(moved)
    return moved


def test_each_store_is_swept_and_its_quarantine_listed_and_purged(
    orphans: dict[Sink, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep_without_grace(monkeypatch) == 2
    assert {place: quarantined_keys(place) for place in orphans} == {place: {key} for place, key in orphans.items()}
    listed = run("quarantine")
    for place, key in orphans.items():
        assert f"{key} [{place.name}]" in listed
    assert "Objects in quarantine: 2" in listed
    assert [one.words[:24] for one in current_warnings() if one.code == "quarantine"] == ["Objects in quarantine: 2"]

    for place, key in orphans.items():
        run("quarantine", "--take-back", key)
        assert (stored_keys(place), quarantined_keys(place)) == ({key}, set())
        store(place, old := new_key(), b"abc")
        quarantine_long_ago(place, old, timezone.now() - timedelta(days=400), monkeypatch)
    assert purge_quarantine() == 2


def test_a_store_that_fails_does_not_keep_a_chore_from_the_others(
    orphans: dict[Sink, str], settings: Any, monkeypatch: pytest.MonkeyPatch, film: Film
) -> None:
    local, former = orphans
    file = upload(an_owner(), film())
    unreachable(settings, former)
    SidecarChange.objects.create(sink=former.name, key=new_key(), file_id=file.pk)
    with patience_of(0):
        sweep_without_grace(monkeypatch)
        write_sidecars()
        with pytest.raises(SinkError, match="does not answer"):
            housekeeping.in_each_store(lambda place: len(list(place.walk())))
        assert quarantined_keys(local) == {orphans[local]}
        assert local.sidecars.of([file.blob.key])
        assert SidecarChange.objects.get().sink == former.name  # it waits
        [warning] = [one for one in current_warnings() if one.code.startswith("store_unusable")]
        assert f"“{former.name}”, which has earlier files, cannot be used. The object store does not" in warning.words
        for command in ("fsck", "rebuild"):
            with pytest.raises(CommandError, match=f"{former.name}.*does not answer"):
                run(command)


def unreachable(settings: Any, former: Sink) -> None:
    entry = settings.STORAGES["millrace-former"]
    options = entry["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:1"}
    settings.STORAGES = settings.STORAGES | {"millrace-former": entry | {"OPTIONS": options}}
    assert former.name in {place.name for place in sinks()}


def test_fsck_checks_and_repairs_each_store_and_names_one_that_is_not_configured(
    local: LocalSink, former: S3Sink, film: Film
) -> None:
    here, there = upload(an_owner(), film()), upload(an_owner(), film())
    content = there.content.read()
    there = move_row(there, former, content)
    local.delete(there.blob.key)
    write_sidecars()
    for place in (local, former):
        store(place, new_key(), b"abc")
    Blob.objects.create(sink="s3://gone", key="gone", sha256="0" * 64, size=1, state="stored", media_type="video/mp4")
    with pytest.raises(CommandError, match="2 contents checked"):
        run("fsck", "--deep", "--grace", "0")
    run("fsck", "--repair", "--grace", "0")
    assert [len(quarantined_keys(place)) for place in (local, former)] == [2, 1]
    shown = run("fsck", "--deep", "--grace", "0")
    assert "1 contents are in the store “s3://gone”, which is not configured: not checked." in shown
    assert "2 contents checked, no problems found." in shown
    assert {here.blob.key} | {there.blob.key} == stored_keys(local) | stored_keys(former)


def test_rows_are_rebuilt_from_each_store_and_name_it(local: LocalSink, former: S3Sink, film: Film) -> None:
    owner, content = an_owner("alice"), film()
    here, there = upload(owner, film(), "here.mp4"), upload(owner, content, "there.mp4")
    local_key = there.blob.key
    there = move_row(there, former, content)
    local.delete(local_key)
    write_sidecars()
    unnamed = new_key()
    store(former, unnamed, content[:-1])
    lose_rows(accounts=True)
    report = rebuild(*sinks())
    assert (report.files, report.by_key, report.lost) == (2, [unnamed], [])
    stores = {file.name: file.blob.sink for file in MediaFile.objects.select_related("blob")}
    assert stores == {"here.mp4": "local", "there.mp4": former.name, unnamed: former.name}
    assert {file.pk for file in MediaFile.objects.exclude(name=unnamed)} == {here.pk, there.pk}
    with MediaFile.objects.get(pk=there.pk).content as found:
        assert found.read() == content


@pytest.mark.parametrize("old_bytes", ["still there", "gone"])
def test_a_file_that_was_moved_after_the_snapshot_is_found_where_it_is(
    local: LocalSink, former: S3Sink, film: Film, old_bytes: str
) -> None:
    content = film()
    file = upload(an_owner(), content, "old.mp4")
    old = file.blob
    write_sidecars()
    moved = move_row(file, former, content)
    MediaFile.objects.filter(pk=file.pk).update(name="new.mp4")
    local.sidecars.delete(name_of(old.key, file.pk))
    write_sidecars()
    # The snapshot has the file where it was, under its old name.
    Blob.objects.filter(pk=old.pk).update(sink="local", key=old.key, facts={"duration": 3})
    MediaFile.objects.filter(pk=file.pk).update(name="old.mp4")
    if old_bytes == "gone":
        local.delete(old.key)
    assert rebuild(*sinks()).updated == 1
    found = MediaFile.objects.select_related("blob").get()
    assert (found.name, found.blob.sink, found.blob.key) == ("new.mp4", former.name, moved.blob.key)
    assert [blob.facts for blob in Blob.objects.all()] == [{"duration": 3}]
    write_sidecars()
    remove_bytes()
    assert (stored_keys(local), stored_keys(former)) == (set(), {moved.blob.key})
    assert former.sidecars.of([moved.blob.key]) == {name_of(moved.blob.key, file.pk)}
    assert rebuild(*sinks()).updated == 0


def test_every_store_that_is_strange_is_adopted(local: LocalSink, former: S3Sink) -> None:
    SinkMark.objects.all().delete()
    adopt: Callable[[], str] = lambda: run("adopt_storage", "--yes")  # noqa: E731
    shown = adopt()
    for place in (local, former):
        assert f"The store “{place.name}”: The store contains 0 blobs" in shown
    assert "already" in adopt()
