"""Resumable uploads after the machine was started again: a power cut may have taken bytes that a note speaks of."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import sha256
from tests.support.job_rows import a_user
from uploads.errors import Forbidden
from uploads.models import Upload
from uploads.sinks.local.sink import LocalSink
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers.admission import Announcement, admit
from uploads.transfers.resumable import checkpoint
from uploads.transfers.resumable.expiry import lifetime
from uploads.transfers.resumable.session import Session

pytestmark = [pytest.mark.django_db, pytest.mark.local_disk]
Film = Callable[..., bytes]
SIZE, CAME = 300_000, 200_000


@pytest.fixture(autouse=True)
def _sink(settings: Any, tmp_path: Path) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, media_root=tmp_path / "media")
    adopt(sink())


@pytest.fixture
def upload() -> Upload:
    announced = Announcement(
        owner=a_user(), name="a.mp4", protocol=Upload.Protocol.TUS, size=SIZE, length=SIZE, route="uploads",
        lifetime=lifetime(0),
    )  # fmt: skip
    return admit(announced)


def take_turn(upload: Upload, data: bytes = b"") -> int:
    """Send the next bytes. Answers where that began."""
    with Session.open(upload.pk) as session:
        begun = session.offset
        if data:
            session.feed(data)
        session.finish_request()
    return begun


def note_of(upload: Upload) -> Path:
    place = sink()
    assert isinstance(place, LocalSink)
    return place.layout.checkpoint(upload.key)


def start_machine_again(upload: Upload) -> None:
    """The note beside the bytes is of another boot then."""
    note = note_of(upload)
    assert checkpoint.BOOT_ID in note.read_text()
    note.write_text(note.read_text().replace(checkpoint.BOOT_ID, "5ee1b0f0-0000-4000-8000-000000000000"))


def test_bytes_that_are_all_there_are_gone_on_with_and_read_once(upload: Upload, film: Film) -> None:
    content = film(SIZE)
    take_turn(upload, content[:CAME])
    start_machine_again(upload)
    assert take_turn(upload) == CAME
    assert checkpoint.BOOT_ID in note_of(upload).read_text()  # it need not be read again by the next
    take_turn(upload, content[CAME:])
    assert sha256_of(upload) == sha256(content)


@pytest.mark.parametrize("lost", ["in the middle", "in the middle, by an older version's note"])
def test_bytes_that_are_not_those_that_were_acknowledged_are_sent_again(
    upload: Upload, film: Film, lost: str
) -> None:
    content = film(SIZE)
    take_turn(upload, content[:CAME])
    with note_of(upload).with_suffix("").open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(4096))
    start_machine_again(upload)
    if "older" in lost:
        note_of(upload).write_text(note_of(upload).read_text().replace("boot_id", "unknown"))
    assert take_turn(upload) == 0
    take_turn(upload, content)
    assert sha256_of(upload) == sha256(content)


def test_a_file_that_became_shorter_goes_on_at_its_end(upload: Upload, film: Film) -> None:
    content = film(SIZE)
    take_turn(upload, content[:CAME])
    os.truncate(note_of(upload).with_suffix(""), 150_000)
    start_machine_again(upload)
    assert take_turn(upload, content[150_000:]) == 150_000
    assert sha256_of(upload) == sha256(content)


def test_what_nobody_noted_is_sent_again(upload: Upload, film: Film) -> None:
    content = film(SIZE)
    take_turn(upload, content[:CAME])
    with note_of(upload).with_suffix("").open("ab") as file:
        file.write(bytes(50_000))
    start_machine_again(upload)
    assert take_turn(upload, content[CAME:]) == CAME
    assert sha256_of(upload) == sha256(content)


def sha256_of(upload: Upload) -> str:
    """Of the file, which holds these bytes."""
    file = Upload.objects.get(pk=upload.pk).file
    assert file is not None
    with sink().open(file.blob.key) as reader:
        assert sha256(reader.read()) == file.blob.sha256
    return file.blob.sha256


def test_an_upload_that_ends_with_its_request_cannot_be_continued() -> None:
    one_shot = admit(Announcement(owner=a_user(), name="a.mp4", protocol=Upload.Protocol.PUT, size=SIZE))
    with pytest.raises(Forbidden, match="it ends with its request"):
        Session.open(one_shot.pk, patience=0)
