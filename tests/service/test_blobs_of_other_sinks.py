"""A blob is reached through the sink that its row names, whichever sink takes new bytes today."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_client import api_client
from tests.support.local_store import Film, an_owner, former_bucket, own_disk, stored_keys, upload
from tests.support.object_store import ObjectStore
from uploads.content.intake import Intake
from uploads.maintenance.housekeeping import remove_bytes, write_sidecars
from uploads.models import Blob, MediaFile, Tombstone
from uploads.sinks.base import Sink, SinkError
from uploads.sinks.local.sink import LocalSink
from uploads.storage.blobs import is_whole, local_path, new_key, open_blob, store
from uploads.storage.files import create_file, delete_file
from uploads.storage.stores import sink, sink_named

pytestmark = pytest.mark.django_db
Committed = Callable[..., Any]  # pytest-django's django_capture_on_commit_callbacks


@pytest.fixture
def local(settings: Any, tmp_path: Path) -> LocalSink:
    return own_disk(settings, tmp_path / "media")


@pytest.fixture
def former(local: LocalSink, settings: Any, object_store: ObjectStore) -> Sink:
    """Took new bytes before the local disk did."""
    return former_bucket(settings, object_store)


def upload_into(former: Sink, content: bytes) -> MediaFile:
    owner = an_owner()
    with former.create(new_key(), size=len(content)) as writer:
        intake = Intake(writer, grow=int, granted=len(content))
        intake.feed(content)
        attach = lambda blob: create_file(owner.pk, "film.mp4", blob, MediaFile.Origin.UPLOAD)  # noqa: E731
        return store(writer, intake.finish(), attach, into=former)


def test_new_bytes_go_to_the_first_sink_and_stored_ones_are_read_from_their_own(
    local: LocalSink, former: Sink, film: Film
) -> None:
    content = film()
    old = upload_into(former, content)
    new = upload(an_owner(), content)
    assert sink() is local
    assert (old.blob.sink, new.blob.sink) == (former.name, "local")
    assert [is_whole(file.blob) for file in (old, new)] == [True, True]
    for file in (old, new):
        with open_blob(file.blob, 4) as reader:
            assert reader.read() == content[4:]
    assert (local_path(old.blob), local_path(new.blob)) == (None, local.local_path(new.blob.key))


def test_a_download_and_its_range_come_from_the_sink_of_the_blob(former: Sink, film: Film) -> None:
    content = film()
    file = upload_into(former, content)
    client, path = api_client(file.owner), f"/api/v1/files/{file.pk}/content"
    assert b"".join(client.get(path).streaming_content) == content  # type: ignore[attr-defined]
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert b"".join(part.streaming_content) == content[10:20]  # type: ignore[attr-defined]


def test_a_download_without_a_descriptor_is_read_in_large_pieces(former: Sink, film: Film) -> None:
    file = upload_into(former, film(1_000_000))
    response: Any = api_client(file.owner).get(f"/api/v1/files/{file.pk}/content")
    with closing(response):
        assert len(next(iter(response))) == 256 * 1024  # Django's own pieces took seven times the CPU


def test_deleting_a_file_removes_the_bytes_of_its_own_sink_alone(
    local: LocalSink, former: Sink, film: Film, django_capture_on_commit_callbacks: Committed
) -> None:
    file = upload_into(former, film())
    write_sidecars()
    assert former.sidecars.of([file.blob.key])
    with local.create(file.blob.key) as writer:
        writer.write(b"other bytes under the same key")
        writer.commit()
    with django_capture_on_commit_callbacks(execute=True):
        assert delete_file(file)
    assert (list(former.walk()), list(former.sidecars.names())) == ([], [])
    assert stored_keys(local) == {file.blob.key}


def test_a_deletion_that_a_crash_cut_off_is_finished_in_the_sink_of_the_blob(former: Sink, film: Film) -> None:
    file = upload_into(former, film())
    delete_file(file)  # and the process dies before its transaction's callbacks
    assert [stored.key for stored in former.walk()] == [file.blob.key]
    write_sidecars()
    remove_bytes()
    assert list(former.walk()) == []


def test_a_sink_that_is_not_configured_loses_nothing(
    former: Sink, film: Film, settings: Any, django_capture_on_commit_callbacks: Committed
) -> None:
    file = upload_into(former, film())
    both = settings.STORAGES
    settings.STORAGES = {alias: entry for alias, entry in both.items() if alias != "millrace-former"}
    with pytest.raises(SinkError, match=r"s3://.* is not configured"):
        sink_named(file.blob.sink)
    response = api_client(file.owner).get(f"/api/v1/files/{file.pk}/content")
    assert (response.status_code, response.json()["code"]) == (503, "content_unavailable")
    with django_capture_on_commit_callbacks(execute=True):
        assert delete_file(file)
    assert (Blob.objects.count(), [tombstone.sink for tombstone in Tombstone.objects.all()]) == (0, [former.name])
    settings.STORAGES = both
    write_sidecars()
    remove_bytes()
    assert list(former.walk()) == []
