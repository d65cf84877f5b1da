"""Bytes that somebody sent are never deleted by a guess: tombstones, sidecars, quarantine and the sweep."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from media_jobs.errors import BadMedia, LeaseLost
from media_jobs.models import Job
from media_jobs.queue import artifacts, leases, outcomes
from media_jobs.queue.leases import Lease
from media_jobs.worker.attempt_end import Success, record_end
from tests.support.api_client import api_client
from tests.support.job_rows import a_job, a_worker, claimed, expire, reap, started
from tests.support.local_store import (
    Film,
    an_owner,
    lose_file,
    own_store,
    quarantine_long_ago,
    quarantined_keys,
    stored_keys,
    upload,
)
from uploads import hooks
from uploads.content.intake import Content
from uploads.maintenance import store_health
from uploads.maintenance.fsck import Defect, find_in_sidecars, find_in_sink
from uploads.maintenance.housekeeping import purge_quarantine
from uploads.maintenance.restore import forget_intentions
from uploads.maintenance.sweep import sweep
from uploads.models import Blob, MediaFile, SinkMark, Tombstone, Upload
from uploads.sinks.base import Sink
from uploads.storage.files import delete_file
from uploads.storage.sidecars import Sidecar, write_changed
from uploads.storage.stores import resumable_sink
from uploads.storage.tombstones import bury, remove_buried
from uploads.transfers.resumable import recovery

pytestmark = pytest.mark.django_db
AT_ONCE = timedelta(0)
Committed = Callable[..., Any]  # pytest-django's django_capture_on_commit_callbacks


@pytest.fixture
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setattr(store_health, "_QUARANTINE_LASTS", 0)
    return own_store(settings, tmp_path / "media")


def keep(place: Sink, content: bytes = b"bytes", key: str = "") -> str:
    """Content that no row names."""
    key = key or str(uuid.uuid4())
    with place.create(key) as writer:
        writer.write(content)
        writer.commit()
    return key


def warnings() -> str:
    return " ".join(warning.words for warning in hooks.current_warnings())


# Tombstones


def made(place: Sink, lease: Lease) -> Success:
    """An attempt with one output, which is stored."""
    leases.reserve_keys(lease, 1)
    keep(place, b"picture", lease.key(0))
    content = Content(sha256(b"picture").hexdigest(), 7, "image", "image/jpeg")
    return Success([artifacts.StoredOutput("poster.jpg", lease.key(0), content, None)], None, "")


def test_what_a_job_made_stays_when_it_was_committed_and_only_the_answer_was_lost(place: Sink) -> None:
    job, worker = a_job(), a_worker()
    lease = started(worker, job)
    success = made(place, lease)
    record_end(lease, success, {"build": "x"})
    with pytest.raises(LeaseLost):
        record_end(lease, success, {"build": "x"})  # the worker tries again
    assert Blob.objects.filter(key=lease.key(0)).exists()
    assert stored_keys(place) == {lease.key(0)}


def test_what_a_job_made_goes_at_once_when_it_has_lost_its_lease_or_is_cancelled(place: Sink) -> None:
    worker = a_worker()
    lease = started(worker, a_job())
    success = made(place, lease)
    expire(lease.job)
    assert reap() == 1
    with pytest.raises(LeaseLost):
        record_end(lease, success, {"build": "x"})
    assert stored_keys(place) == set()
    Job.objects.update(not_before=None)
    lease = claimed(worker)
    success = made(place, lease)
    Job.objects.filter(pk=lease.job.pk).update(cancel_asked=True)
    record_end(lease, success, {"build": "x"})
    assert Job.objects.get().status == Job.Status.CANCELLED
    assert stored_keys(place) == set()


def test_a_deleted_file_leaves_a_tombstone_and_then_nothing(
    place: Sink, film: Film, django_capture_on_commit_callbacks: Committed
) -> None:
    file = upload(an_owner(), film())
    write_changed(place)
    delete_file(file)  # and the process dies before its transaction's callbacks
    assert stored_keys(place) == {file.blob.key}
    assert list(Tombstone.objects.values_list("key", flat=True)) == [file.blob.key]
    assert remove_buried(place) == 0
    assert stored_keys(place) == {file.blob.key}  # its sidecar still names it
    write_changed(place)
    remove_buried(place)
    assert (stored_keys(place), list(place.sidecars.names())) == (set(), [])
    Tombstone.objects.update(created_at=timezone.now() - timedelta(hours=2))
    assert (remove_buried(place), Tombstone.objects.count()) == (1, 0)

    file = upload(an_owner(), film())
    with django_capture_on_commit_callbacks(execute=True):
        delete_file(file)
    assert stored_keys(place) == set()


def test_a_tombstone_never_removes_what_a_row_names(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film())
    bury(place.name, file.blob.key)
    remove_buried(place)
    assert stored_keys(place) == {file.blob.key}


def test_content_that_a_file_unknown_to_the_database_shares_stays_when_its_last_known_file_goes(
    place: Sink, film: Film, django_capture_on_commit_callbacks: Committed
) -> None:
    """As after an older database was restored: the second file came after the snapshot."""
    content = film()
    first, second = upload(an_owner(), content), upload(an_owner(), content, "second.mp4")
    write_changed(place)
    lose_file(second)
    with django_capture_on_commit_callbacks(execute=True):
        delete_file(first)
    remove_buried(place)
    assert stored_keys(place) == {first.blob.key}
    assert [(found.defect, found.row) for found in find_in_sidecars(place)] == [(Defect.UNKNOWN_FILE, second.pk)]
    assert sweep(place, grace=AT_ONCE) == 0
    assert (stored_keys(place), quarantined_keys(place)) == ({first.blob.key}, set())


def test_what_an_attempt_stored_is_removed_when_the_attempt_ends(place: Sink) -> None:
    job = a_job()
    Blob.objects.update(sink=place.name)
    lease = started(a_worker(), job)
    leases.reserve_keys(lease, 2)
    keys = {keep(place, key=lease.key(number)) for number in range(2)}
    remove_buried(place)
    assert stored_keys(place) == keys  # it may yet succeed
    assert sweep(place, grace=AT_ONCE) == 1  # the job's own file, whose bytes nobody has, is marked as lost
    assert stored_keys(place) == keys
    outcomes.end_failed(lease, BadMedia("It is cut off."), {})
    remove_buried(place)
    assert (stored_keys(place), quarantined_keys(place)) == (set(), set())


def test_an_upload_that_is_given_up_leaves_a_tombstone(place: Sink) -> None:
    key = str(uuid.uuid4())
    resumable_sink().create_resumable(key).close()
    arriving = Upload.objects.create(
        pk=key, key=key, owner=an_owner(), name="a.mp4", protocol="tus", sink=place.name,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    assert list(find_in_sink(place, grace=AT_ONCE)) == []
    recovery.terminate(arriving)
    assert list(Tombstone.objects.values_list("key", flat=True)) == [key]
    assert stored_keys(place) == set()


# The sweep


def test_the_sweep_moves_what_nothing_names_into_quarantine_and_it_can_be_seen_and_taken_back(
    place: Sink, film: Film
) -> None:
    file, orphan = upload(an_owner(), film()), keep(place)
    assert sweep(place) == 0  # it is young: it may just be arriving
    assert sweep(place, grace=AT_ONCE) == 1
    assert (stored_keys(place), quarantined_keys(place)) == ({file.blob.key}, {orphan})
    assert "Objects in quarantine: 1 (5 bytes). `manage.py quarantine`" in warnings()
    [found] = place.quarantine.entries()
    place.quarantine.take_back(found)
    assert (stored_keys(place), warnings()) == ({file.blob.key, orphan}, "")


def test_what_is_in_quarantine_is_purged_after_its_time_and_not_before(
    place: Sink, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, old = keep(place), keep(place)
    place.quarantine.put(kept, "unknown")
    long_ago = timezone.now() - timedelta(seconds=settings.UPLOADS.quarantine_kept + 60)
    quarantine_long_ago(place, old, long_ago, monkeypatch)
    assert purge_quarantine() == 1
    assert quarantined_keys(place) == {kept}


def test_content_that_no_file_uses_is_quarantined_not_deleted(
    place: Sink, film: Film, django_capture_on_commit_callbacks: Committed
) -> None:
    file = upload(an_owner(), film())
    lose_file(file)
    with django_capture_on_commit_callbacks(execute=True):
        assert sweep(place, grace=AT_ONCE) == 1
    assert (stored_keys(place), quarantined_keys(place)) == (set(), {file.blob.key})


def test_a_claim_whose_file_was_stored_after_the_snapshot_keeps_its_bytes(place: Sink, film: Film) -> None:
    """The database was restored as it was between claim and flip; the store has moved on."""
    file = upload(an_owner(), film())
    write_changed(place)
    lose_file(file)
    Blob.objects.update(state=Blob.State.STORING, created_at=F("created_at") - timedelta(hours=2))
    sweep(place)
    remove_buried(place)
    assert stored_keys(place) == {file.blob.key}
    assert [found.row for found in find_in_sidecars(place)] == [file.pk]


@pytest.mark.parametrize(("orphans", "touched"), [(20, True), (21, False)])
def test_more_than_a_crash_can_leave_is_not_touched_and_told_of(place: Sink, orphans: int, touched: bool) -> None:
    keys = {keep(place) for _ in range(orphans)}
    assert sweep(place, grace=AT_ONCE) == (orphans if touched else 0)
    assert stored_keys(place) == (set() if touched else keys)
    said = SinkMark.objects.get(sink=place.name).warning
    assert bool(said) != touched
    if not touched:
        assert "21 do not match the database (bytes without a row: 21)" in warnings()
        place.quarantine.put(keys.pop(), "unknown")
        sweep(place, grace=AT_ONCE)
        assert SinkMark.objects.get(sink=place.name).warning == ""  # only twenty are left: that is repaired


def test_lost_bytes_count_as_well_but_only_once(place: Sink, film: Film, settings: Any) -> None:
    owner = an_owner()
    files = [upload(owner, film(5000)) for _ in range(22)]
    for file in files[1:]:
        place.delete(file.blob.key)
    assert sweep(place) == 0
    assert Blob.objects.filter(state="stored").count() == 22
    place.delete(files[0].blob.key)
    Blob.objects.filter(pk__in=[file.blob_id for file in files[:10]]).update(state="missing")  # a person said so
    assert sweep(place) == 12
    assert sweep(place) == 0
    assert SinkMark.objects.get(sink=place.name).warning == ""


def test_nothing_is_swept_in_a_store_that_is_not_ours(place: Sink) -> None:
    keep(place)
    place.set_identity("11111111-0000-4000-8000-000000000001")
    assert sweep(place, grace=AT_ONCE) == 0
    assert (len(stored_keys(place)), quarantined_keys(place)) == (1, set())


def test_what_a_restored_snapshot_was_about_to_delete_goes_into_quarantine(place: Sink, film: Film) -> None:
    """It may have become somebody's file since, whose sidecar was not written yet."""
    claimed, buried = upload(an_owner(), film()), keep(place)
    lose_file(claimed)
    Blob.objects.update(state=Blob.State.STORING, created_at=F("created_at") - timedelta(hours=2))
    bury(place.name, buried)
    lease = started(a_worker(), a_job())
    leases.reserve_keys(lease, 1)
    made = keep(place, key=lease.key(0))

    forget_intentions()
    artifacts.forget_outputs()
    outcomes.end_failed(lease, BadMedia("It is cut off."), {})
    remove_buried(place)
    sweep(place, grace=AT_ONCE)
    remove_buried(place)
    assert (stored_keys(place), quarantined_keys(place)) == (set(), {claimed.blob.key, buried, made})


# Sidecars


def test_a_sidecar_says_all_that_is_needed_to_make_the_file_anew(place: Sink, film: Film) -> None:
    owner, content = an_owner("alice"), film()
    file = upload(owner, content, "größer.mp4")
    assert write_changed(place) == 1
    [name] = place.sidecars.of([file.blob.key])
    said = Sidecar.parse(place.sidecars.read(name))
    assert said == Sidecar.of(MediaFile.objects.get(pk=file.pk))
    assert (said.name, said.owner, said.size, said.media_type) == ("größer.mp4", "alice", len(content), "video/mp4")


def test_a_renamed_file_has_its_new_name_in_its_sidecar(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film(), "old.mp4")
    write_changed(place)
    client = api_client(file.owner)
    answer = client.patch(f"/api/v1/files/{file.pk}/", {"name": "new.mp4"}, format="json")
    assert (answer.status_code, write_changed(place)) == (200, 1)
    [name] = place.sidecars.of([file.blob.key])
    assert Sidecar.parse(place.sidecars.read(name)).name == "new.mp4"


def test_bytes_that_come_again_move_the_sidecars_of_all_who_share_them(place: Sink, film: Film) -> None:
    content = film()
    shared = [upload(an_owner(), content, f"{number}.mp4") for number in range(2)]
    write_changed(place)
    lost = shared[0].blob.key
    place.delete(lost)
    healed = upload(an_owner(), content, "healed.mp4")
    write_changed(place)
    assert healed.blob.key != lost
    assert (place.sidecars.of([lost]), len(place.sidecars.of([healed.blob.key]))) == (set(), 3)
    remove_buried(place)
    assert stored_keys(place) == {healed.blob.key}
