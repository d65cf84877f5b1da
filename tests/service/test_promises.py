"""Room on the disk that is promised to uploads: who gets how much of it, and when a promise lapses."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client as Browser

from media_jobs.queue import scheduling
from tests.support.in_server import partial_uploads
from tests.support.job_rows import a_user
from tests.support.local_store import Film
from tests.support.running_servers import StartServer
from tests.support.small_disks import disk_at
from tests.support.tus_client import Client
from tests.support.waiting import wait_until
from uploads.errors import InsufficientStorage, QuotaExceeded
from uploads.maintenance import housekeeping
from uploads.models import SinkMark, Upload
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers import disk_space
from uploads.transfers.admission import Announcement, admit
from uploads.transfers.reception import Reception
from uploads.transfers.resumable.session import Session, start_sending

GIB = 1024**3


@pytest.fixture
def of_12_gib(tmp_path: Path, settings: Any, db: None) -> Iterator[None]:
    yield from _store_of(12 * GIB, tmp_path / "media", settings)


@pytest.fixture
def of_100_gib(tmp_path: Path, settings: Any, db: None) -> Iterator[None]:
    yield from _store_of(100 * GIB, tmp_path / "media", settings)


def _store_of(size: int, media: Path, settings: Any) -> Iterator[None]:
    """The store is on a disk of this size, which takes no memory until it is written to."""
    media.mkdir()
    with disk_at(media, size + 1024**2):  # with the marker
        settings.UPLOADS = replace(settings.UPLOADS, media_root=media, min_free=0, max_file_size=100 * GIB)
        SinkMark.objects.all().delete()
        adopt(sink())
        yield


def begin(owner: User, size: int) -> Upload:
    week = timedelta(days=7)
    return admit(Announcement(owner, "film.mp4", Upload.Protocol.TUS, size=size, lifetime=week))


def pause(upload: Upload, since: timedelta) -> None:
    Upload.objects.filter(pk=upload.pk).update(heartbeat_at=None, paused_at=Now() - since)


def go_on(upload: Upload) -> None:
    """Take a turn at it, as a PATCH does."""
    with Session.open(upload.pk, stop=lambda: None):
        pass


def reserved(upload: Upload) -> int:
    return Upload.objects.get(pk=upload.pk).reserved


LATE = disk_space.IDLE_TIMEOUT + timedelta(seconds=1)


def test_empty_uploads_of_one_account_leave_room_for_the_others(of_100_gib: None) -> None:
    alice = a_user()
    for _ in range(5):
        begin(alice, 10 * GIB)
    for _ in range(12):
        with pytest.raises(InsufficientStorage, match="Your unfinished uploads") as refused:
            begin(alice, 10 * GIB)
        assert refused.value.retry_after
    with Reception.open(Announcement(a_user(), "a.mp4", Upload.Protocol.PUT, size=10 * GIB)):
        assert begin(a_user(), 10 * GIB).reserved == 10 * GIB


def test_all_promises_together_leave_room_for_small_uploads(of_100_gib: None) -> None:
    for size in (50, 30):
        begin(a_user(), size * GIB)
    with pytest.raises(InsufficientStorage):
        begin(a_user(), 8 * GIB)
    begin(a_user(), 7 * GIB + GIB // 2)
    with pytest.raises(InsufficientStorage):
        begin(a_user(), disk_space.RESERVATION_STEP + 1)
    for _ in range(20):
        begin(a_user(), disk_space.RESERVATION_STEP)


def test_a_single_upload_may_have_nearly_all_of_the_disk(of_12_gib: None) -> None:
    alice = a_user()
    begin(alice, 10 * GIB)
    with pytest.raises(InsufficientStorage):
        begin(alice, GIB)
    begin(a_user(), disk_space.RESERVATION_STEP)


def test_what_is_promised_twice_is_never_more_than_there_is(of_12_gib: None) -> None:
    first, second = begin(a_user(), 10 * GIB), a_user()
    with pytest.raises(InsufficientStorage):
        begin(second, 10 * GIB)
    pause(first, LATE)
    other = begin(second, 10 * GIB)  # the promise to the first lapses as somebody needs it
    assert (reserved(first), reserved(other)) == (0, 10 * GIB)
    with pytest.raises(InsufficientStorage) as refused:
        go_on(first)
    assert refused.value.retry_after
    Upload.objects.filter(pk=other.pk).delete()
    go_on(first)
    assert reserved(first) == 10 * GIB


def test_a_promise_lapses_minutes_after_the_last_byte_and_what_has_come_counts_on(
    of_12_gib: None, settings: Any
) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota=10 * GIB)
    alice = a_user()
    upload = begin(alice, 8 * GIB)
    Upload.objects.filter(pk=upload.pk).update(offset=3 * GIB)
    pause(upload, disk_space.IDLE_TIMEOUT - timedelta(minutes=1))
    assert disk_space.release_idle() == 0
    with pytest.raises(QuotaExceeded):
        begin(alice, 3 * GIB)
    pause(upload, LATE)
    [chore] = [chore for chore in housekeeping.CHORES if chore.name == "release idle reservations"]
    assert (chore.do(), chore.do()) == (1, 0)
    assert (reserved(upload), disk_space.reserved_bytes(sink())) == (3 * GIB, 0)
    with pytest.raises(QuotaExceeded, match=re.escape(f"({7 * GIB:,} bytes) left")):
        begin(alice, 7 * GIB + 1)


def test_the_promise_of_an_upload_that_is_being_sent_does_not_lapse(of_12_gib: None) -> None:
    upload = begin(a_user(), GIB)
    pause(upload, LATE)
    Upload.objects.filter(pk=upload.pk).update(heartbeat_at=Now() - timedelta(days=1))  # the clock has jumped
    assert disk_space.release_idle() == 0
    assert reserved(upload) == GIB


def test_a_promise_that_lapses_as_somebody_goes_on_is_made_again(of_12_gib: None) -> None:
    upload = begin(a_user(), GIB)
    pause(upload, LATE)
    stale = Upload.objects.get(pk=upload.pk)
    assert disk_space.release_idle() == 1  # after the row was read
    start_sending(stale)
    assert stale.reserved == reserved(upload) == GIB


@pytest.mark.parametrize("paused_at", [None, Now() + timedelta(days=3)])
def test_where_nobody_knows_since_when_an_upload_is_paused_its_time_begins_now(
    of_12_gib: None, paused_at: Any
) -> None:
    """Of an earlier version, or before the clock was set back."""
    upload = begin(a_user(), GIB)
    Upload.objects.filter(pk=upload.pk).update(paused_at=paused_at)
    assert disk_space.release_idle() == 0
    pause_ends = Upload.objects.filter(pk=upload.pk, paused_at__lte=Now(), paused_at__gt=Now() - timedelta(minutes=1))
    assert pause_ends.exists()
    pause(upload, LATE)
    assert disk_space.release_idle() == 1


def test_jobs_do_not_wait_for_what_uploads_were_promised(of_12_gib: None) -> None:
    begin(a_user(), 12 * GIB)
    assert disk_space.reserved_bytes(sink()) == 12 * GIB
    assert scheduling.lacking() == ""


def test_promises_are_told_on_the_front_page_and_in_readyz(of_12_gib: None, admin_client: Browser) -> None:
    begin(a_user(), 10 * GIB)
    space = Browser().get("/readyz").json()["space"]
    assert (space["promised"], space["floor"]) == (10 * GIB, 0)
    assert 11 * GIB < space["free"] < 13 * GIB
    assert "<strong>10.7 GB</strong> reserved for uploads" in admin_client.get("/admin/now/").content.decode()


# Over HTTP


@pytest.mark.local_disk
def test_one_account_with_many_empty_uploads_stops_nobody(start_server: StartServer, clip: bytes) -> None:
    server = start_server()
    marker = next(server.media.glob(".*"))
    content = marker.read_bytes()
    with disk_at(server.media, 100 * GIB):
        (server.media / marker.name).write_bytes(content)
        began = [Client(server).create(10 * GIB).status for _ in range(17)]
        sent = server.put("film.mp4", clip, user="bob")
        assert sent.status == 201, (began, sent)
        assert Client(server, "carol").create(10 * GIB).status == 201
        assert set(began) == {201, 507}
        order = json.dumps({"operation": "thumbnail", "file": sent.json()["id"]}).encode()
        job = server.request("POST", "/api/v1/jobs/", order, {"Content-Type": "application/json"}, user="bob").json()
        found = server.get(f"/api/v1/jobs/{job['id']}/", user="bob").json()
        assert found["waiting_for"] == "A worker: the lane quick has no running worker."
        server.kill()


@pytest.mark.local_disk
def test_a_patch_after_the_lapse_reserves_again_or_keeps_what_has_come(start_server: StartServer, film: Film) -> None:
    server = start_server()
    tus, content = Client(server), film(600_000)
    path = tus.new(len(content))
    assert tus.patch(path, 0, content[:200_000]).status == 204
    wait_until(lambda: server.call(partial_uploads.is_only_one_paused))
    assert server.call(partial_uploads.lapse_an_hour_later) == 1
    server.call(partial_uploads.reserve_whole_disk, "carol", "large.mp4")
    answer = tus.patch(path, 200_000, content[200_000:])
    assert (answer.status, answer.json()["code"]) == (507, "insufficient_storage")
    assert int(answer.headers["Retry-After"]) > 0
    assert tus.offset(path) == 200_000
    server.call(partial_uploads.delete_upload, "large.mp4")
    assert tus.finish(path, content) == 200_000
