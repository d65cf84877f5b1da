"""Rows made anew from a store alone: every byte, name and owner is back, and nobody gets what is not theirs."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from media_jobs.models import Job
from tests.support.local_store import (
    Film,
    an_owner,
    lose_file,
    lose_rows,
    own_store,
    stored_keys,
    upload,
)
from uploads.maintenance.fsck import Defect, find_in_sidecars
from uploads.maintenance.rebuild import rebuild
from uploads.models import Blob, MediaFile, Upload
from uploads.sinks.base import Sink
from uploads.storage.files import delete_file, rename_file
from uploads.storage.sidecars import name_of, write_changed

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Sink:
    return own_store(settings, tmp_path / "media")


def known() -> dict[Any, tuple[Any, ...]]:
    files = MediaFile.objects.select_related("blob", "owner")
    return {
        file.pk: (file.name, file.owner.username, file.owner.date_joined, file.blob.sha256, file.size, file.kind,
                  file.blob.media_type, file.created_at, file.origin)
        for file in files
    }  # fmt: skip


def test_every_file_is_back_under_its_id_with_its_name_owner_and_dates(place: Sink, film: Film) -> None:
    alice, bob, shared = an_owner("alice"), an_owner("bob"), film()
    for owner, content, name in ((alice, film(), "a.mp4"), (alice, shared, "b.mp4"), (bob, shared, "b too.mp4")):
        upload(owner, content, name)
    write_changed(place)
    before, keys = known(), stored_keys(place)
    lose_rows(accounts=True)
    report = rebuild(place)
    assert (report.files, report.by_key, report.lost, sorted(report.accounts)) == (3, [], [], ["alice", "bob"])
    assert (known(), stored_keys(place)) == (before, keys)
    assert [(user.is_active, user.has_usable_password()) for user in User.objects.all()] == [(False, False)] * 2
    assert Blob.objects.count() == 2
    assert Job.objects.filter(operation="inspect", file__in=before).exists()  # their facts are read anew

    again = rebuild(place)
    assert (again.files, again.by_key, again.accounts, known()) == (0, [], [], before)


def test_what_came_after_a_snapshot_goes_to_the_accounts_that_are_there(place: Sink, film: Film) -> None:
    alice = an_owner("alice")
    upload(alice, film(), "newer.mp4")
    write_changed(place)
    lose_rows()
    report = rebuild(place)
    assert (report.files, report.accounts) == (1, [])
    assert MediaFile.objects.get().owner == alice


def test_an_account_that_only_has_the_same_name_gets_nothing(place: Sink, film: Film) -> None:
    upload(an_owner("alice"), film())
    write_changed(place)
    lose_rows(accounts=True)
    stranger = an_owner("alice")
    assert rebuild(place).accounts == ["alice-recovered"]
    assert not stranger.media_files.exists()
    lose_rows()
    assert rebuild(place).accounts == []  # it is known again by the moment it was made
    assert MediaFile.objects.get().owner.username == "alice-recovered"


def test_content_without_a_sidecar_is_named_by_its_key(place: Sink, film: Film) -> None:
    content = film()
    file = upload(an_owner(), content)
    lose_rows(accounts=True)
    report = rebuild(place)
    assert report.by_key == [file.blob.key]
    made = MediaFile.objects.select_related("blob", "owner").get()
    assert (made.name, made.owner.username, made.owner.is_active) == (file.blob.key, "recovered", False)
    assert (made.blob.sha256, made.size, made.blob.media_type) == (file.blob.sha256, len(content), "video/mp4")


def test_what_is_lost_or_cannot_be_read_is_told_and_its_sidecar_stays(place: Sink, film: Film) -> None:
    owner = an_owner()
    lost, spoiled = upload(owner, film(), "lost.mp4"), upload(owner, film(), "spoiled.mp4")
    write_changed(place)
    place.delete(lost.blob.key)
    place.sidecars.write(name_of(spoiled.blob.key, spoiled.pk), b'{"version": 99}')
    lose_rows(accounts=True)
    report = rebuild(place)
    assert ([sidecar.name for sidecar in report.lost], len(report.unreadable)) == (["lost.mp4"], 1)
    assert (report.files, report.by_key) == (0, [])
    assert len(list(place.sidecars.names())) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"\xff", b'{"version": 1}', json.dumps({"version": 1, "file": "no id"}).encode()],
)
def test_a_sidecar_of_nonsense_stops_nobody(place: Sink, film: Film, content: bytes) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    place.sidecars.write(name_of(file.blob.key, file.pk), content)
    lose_rows(accounts=True)
    assert rebuild(place).unreadable == [name_of(file.blob.key, file.pk)]


def test_content_that_a_sweep_had_moved_away_is_taken_back(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    lose_rows(accounts=True)
    place.quarantine.put(file.blob.key, "unknown")
    assert rebuild(place).files == 1
    assert stored_keys(place) == {file.blob.key}


def test_a_claim_that_the_snapshot_holds_becomes_its_file(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    lose_file(file)
    Blob.objects.update(state=Blob.State.STORING, created_at=timezone.now() - timedelta(hours=3))
    assert rebuild(place).files == 1
    assert MediaFile.objects.get().pk == file.pk
    assert Blob.objects.get().state == Blob.State.STORED


def test_deleted_files_do_not_come_back(place: Sink, film: Film, django_capture_on_commit_callbacks: Any) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    with django_capture_on_commit_callbacks(execute=True):
        delete_file(file)
    lose_rows(accounts=True)
    report = rebuild(place)
    assert (report.files, report.by_key, MediaFile.objects.count()) == (0, [], 0)


def test_a_deletion_whose_process_died_before_the_store_knew_is_not_undone(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    delete_file(file)  # and the process dies before its transaction's callbacks
    assert (rebuild(place).files, MediaFile.objects.count()) == (0, 0)


def test_a_row_that_is_older_than_its_sidecar_gets_the_newer_name(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film(), "new.mp4")
    write_changed(place)
    MediaFile.objects.filter(pk=file.pk).update(name="old.mp4")  # as a snapshot from before the renaming has it
    report = rebuild(place)
    assert (report.files, report.updated) == (0, 1)
    assert MediaFile.objects.get().name == "new.mp4"
    assert rebuild(place).updated == 0


def test_bytes_that_were_sent_again_after_the_snapshot_are_found(place: Sink, film: Film) -> None:
    content = film()
    file = upload(an_owner(), content)
    old = file.blob.key
    place.delete(old)
    new = upload(an_owner(), content).blob.key
    write_changed(place)
    Blob.objects.update(key=old, state=Blob.State.MISSING)  # as the snapshot has it
    assert {found.defect for found in find_in_sidecars(place)} == {Defect.OLDER_ROW}
    assert rebuild(place).updated == 1  # and the other file with it
    assert (Blob.objects.get().key, Blob.objects.get().state) == (new, Blob.State.STORED)
    write_changed(place)
    assert (stored_keys(place), list(find_in_sidecars(place))) == ({new}, [])


def test_an_upload_that_the_snapshot_knows_as_half_is_complete_with_its_file(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    lose_rows()
    half = Upload.objects.create(
        owner=file.owner, name="half.mp4", protocol="tus", sink=place.name, key=file.blob.key
    )
    assert rebuild(place).files == 1
    half.refresh_from_db()
    assert (half.state, half.file_id, half.reserved) == (Upload.State.COMPLETE, file.pk, 0)


@pytest.mark.parametrize("deed", ["rename", "delete"])
def test_what_is_changed_while_it_is_rebuilt_stays_as_it_was_changed(
    place: Sink, film: Film, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = upload(an_owner(), film(), "old.mp4")
    write_changed(place)
    read = place.sidecars.read

    def read_and_then(name: str) -> bytes:
        content = read(name)
        monkeypatch.undo()
        rename_file(file, "new.mp4") if deed == "rename" else delete_file(file)
        return content

    monkeypatch.setattr(place.sidecars, "read", read_and_then)
    report = rebuild(place)
    assert (report.files, report.updated) == (0, 0)
    assert [file.name for file in MediaFile.objects.all()] == (["new.mp4"] if deed == "rename" else [])
