"""What is refused, and what is said, when the disk has little left."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from config import first_start
from media_jobs.queue import scheduling
from tests.support.job_rows import a_user
from tests.support.small_disks import MIB, fill, fill_but, small_disk
from uploads.errors import InsufficientStorage
from uploads.models import SinkMark, Upload
from uploads.runtime.ballast_file import Ballast, ballast, free_in
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers import disk_space
from uploads.transfers.admission import Announcement
from uploads.transfers.made_files import deposit
from uploads.transfers.reception import Reception

pytestmark = [pytest.mark.django_db, pytest.mark.local_disk]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 16 * MIB) as disk:
        yield disk


@pytest.fixture
def kept(small: Path, settings: Any) -> Ballast:
    """Everything is on the small disk, and a ballast, too."""
    settings.UPLOADS = replace(settings.UPLOADS, media_root=small / "media", ballast=64 * MIB)
    SinkMark.objects.all().delete()  # of another place: tests that ran before may have left one
    adopt(sink())
    ballast().keep(lambda: sys.maxsize)
    return ballast()


def test_an_upload_on_its_way_does_not_take_the_room_of_the_ballast(kept: Ballast, small: Path, clip: bytes) -> None:
    piece = clip + bytes(100_000)
    announced = Announcement(a_user(), "a.mp4", Upload.Protocol.PUT, size=2 * len(piece))
    with Reception.open(announced) as reception:
        reception.feed(piece)
        fill_but(small, kept.size // 5)
        reception._checked_at = 0  # it looks twice a second
        left = free_in(small)
        with pytest.raises(InsufficientStorage):
            reception.feed(piece)
        assert free_in(small) == left


def test_no_upload_is_promised_what_the_ballast_needs(kept: Ballast, small: Path) -> None:
    kept.release(everything=True)
    fill_but(small, kept.size)
    with pytest.raises(InsufficientStorage):
        Reception.open(Announcement(a_user(), "a.mp4", Upload.Protocol.PUT, size=1000))


def test_a_start_on_a_full_disk_makes_room_for_what_it_has_to_write(kept: Ballast, small: Path) -> None:
    fill(small)
    first_start.prepare()
    assert kept.held == kept.size // 2


def test_jobs_wait_for_room_where_they_work_too(small: Path, settings: Any, tmp_path: Path) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media", min_free=64 * MIB)
    SinkMark.objects.all().delete()
    adopt(sink())
    settings.JOBS = replace(settings.JOBS, work_root=tmp_path / "work")
    assert scheduling.lacking() == ""
    settings.JOBS = replace(settings.JOBS, work_root=small)
    assert scheduling.lacking() == "Free space on the server's disk."


def test_a_released_ballast_is_told_on_the_front_page_and_in_readyz(
    kept: Ballast, settings: Any, admin_client: Client
) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, min_free=10**18, max_file_size=MIB)

    def told() -> tuple[bool, bool]:
        room = Client().get("/readyz").json()["checks"]["room"]
        return "ballast" in room, "ballast" in admin_client.get("/admin/now/").content.decode()

    assert told() == (False, False)
    kept.release()
    assert told() == (True, True)


def test_what_a_job_made_is_not_stored_where_the_disk_has_come_to_its_floor(tmp_path: Path, settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media", min_free=10**18)
    SinkMark.objects.all().delete()
    adopt(sink())
    made = tmp_path / "made.mp4"
    made.write_bytes(b"a film")
    before = list(sink().walk())
    with pytest.raises(InsufficientStorage):
        deposit(made, "k" * 32, "video", "video/mp4", lambda: None)
    assert list(sink().walk()) == before


def test_works_stop_one_after_another_and_go_on_where_there_is_room_again(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(min_free: int, spread: float) -> None:
        settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path, min_free=min_free)
        monkeypatch.setattr(disk_space, "SPREAD", spread)

    leave(10**18, 1e9)
    work = disk_space.FloorWatch(sink(), tmp_path)
    work.check()  # its turn to stop has not come
    leave(0, 1e9)
    work.check()
    leave(10**18, 0)
    with pytest.raises(InsufficientStorage):
        work.check()
