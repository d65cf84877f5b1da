"""`MediaFile.content`: the bytes of a file as a Django File, from every kind of store."""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import LongFilm
from tests.support.local_store import Film, an_owner, own_bucket, own_disk, upload
from tests.support.network_relay import Relay
from tests.support.object_store import ObjectStore
from uploads.models import Blob, MediaFile
from uploads.sinks.base import NoSuchKey, Sink
from uploads.storage.blobs import new_key
from uploads.storage.stores import sinks

pytestmark = pytest.mark.django_db
MB = 1024**2


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Sink:
    """The store that the file will be in."""
    if request.param == "s3":
        return own_bucket(settings, request.getfixturevalue("object_store"))
    return own_disk(settings, tmp_path / "media")


@pytest.fixture
def content(film: Film) -> bytes:
    return film() + b"a line\nanother line\n"


@pytest.fixture
def file(place: Sink, content: bytes) -> MediaFile:
    made = upload(an_owner(), content)
    return MediaFile.objects.get(pk=made.pk)


def test_it_is_read_as_any_file(file: MediaFile, content: bytes) -> None:
    found = file.content
    assert (found.name, found.size, len(found), found.mode) == ("film.mp4", len(content), len(content), "rb")
    assert (found.read(4), found.tell()) == (content[:4], 4)
    assert found.seek(-20, io.SEEK_END) == len(content) - 20
    assert found.readlines() == content[-20:].splitlines(keepends=True)
    assert b"".join(found.chunks(100_000)) == content
    found.seek(100)
    assert found.read(10) == content[100:110]
    assert (found.readable(), found.seekable(), found.writable()) == (True, True, False)


def test_it_is_opened_at_the_first_read_and_closed_with_its_block(file: MediaFile, content: bytes) -> None:
    assert file.content.closed
    with file.content as found:
        assert found.read() == content
        assert not found.closed
    assert found.closed
    with found.open("rb") as again:  # as Django's other files
        assert again.read(4) == content[:4]
    assert found.closed


def test_it_cannot_be_changed(file: MediaFile, content: bytes) -> None:
    with pytest.raises(io.UnsupportedOperation), file.content as found:
        found.write(b"other bytes")
    with pytest.raises(ValueError, match="cannot be changed"):
        file.content.open("wb")
    assert file.content.read() == content
    file.content.close()


def test_a_row_with_open_content_can_be_pickled(file: MediaFile, content: bytes) -> None:
    with file.content as found:
        found.read(10)
        copy = pickle.loads(pickle.dumps(file))  # noqa: S301  # our own
    with copy.content as again:
        assert again.read() == content


def test_a_program_that_jumps_about_reads_it(place: Sink, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a.txt", "a" * 100_000)
        made.writestr("b.txt", "b")
    content = (tmp_path / "a.zip").read_bytes()
    file = upload(an_owner(), content)
    with file.content as found, zipfile.ZipFile(found) as archive:
        assert archive.read("b.txt") == b"b"


def test_bytes_that_are_lost_are_an_error_of_the_store(place: Sink, file: MediaFile) -> None:
    place.delete(file.blob.key)
    with pytest.raises(NoSuchKey):
        file.content.read(10)


def test_a_row_that_was_read_before_the_bytes_moved_finds_them(
    place: Sink, file: MediaFile, content: bytes, settings: Any, object_store: ObjectStore
) -> None:
    entry = object_store.storage(object_store.make_bucket(), "another")
    settings.STORAGES = settings.STORAGES | {"millrace-another": entry}
    new = sinks()[1]
    key = new_key()
    with new.create(key) as writer:
        writer.write(content)
        writer.commit()
    place.delete(file.blob.key)
    moved = Blob.objects.create(
        sink=new.name, key=key, sha256=file.blob.sha256, size=file.size, state=Blob.State.STORED
    )
    MediaFile.objects.filter(pk=file.pk).update(blob=moved)
    file.blob.delete()
    with file.content as found:
        assert found.read() == content


def test_few_bytes_of_a_large_object_fetch_few_bytes(
    settings: Any, object_store: ObjectStore, long_film: Callable[[], LongFilm]
) -> None:
    film = long_film()
    with Relay(object_store.port) as relay:
        own_bucket(settings, object_store, relay.url)
        file = upload(an_owner(), film.path.read_bytes())
        before = relay.answered
        with file.content as found:
            found.seek(-10, io.SEEK_END)
            assert len(found.read(10)) == 10
            assert relay.answered - before < 2048  # with the head of the answer
            found.seek(film.size // 2)
            found.read(10)
            assert relay.answered - before < 64 * 1024

        before, sent, digest = relay.answered, relay.sent, hashlib.sha256()
        with file.content as found:
            while piece := found.read(MB):
                digest.update(piece)
        assert digest.hexdigest() == film.sha256
        assert relay.answered - before < film.size + 64 * 1024
        assert relay.sent - sent < 16 * 1024  # a few requests
