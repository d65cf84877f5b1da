"""What is deleted or moved while fsck compares is no problem: it is looked at again before it is reported."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.interleaving import before_reading
from tests.support.local_store import Film, an_owner, own_store, upload
from uploads.maintenance.fsck import Defect, find_in_sidecars, find_in_sink, find_without_sidecar
from uploads.models import MediaFile, Tombstone
from uploads.sinks.base import Sink
from uploads.storage.files import delete_file
from uploads.storage.sidecars import name_of, write_changed

pytestmark = pytest.mark.django_db
FILES = '"uploads_mediafile"'


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Sink:
    return own_store(settings, tmp_path / "media")


@pytest.fixture
def files(place: Sink, film: Film) -> list[MediaFile]:
    """Two files with their sidecars."""
    found = [upload(an_owner(), film()) for _ in range(2)]
    write_changed(place)
    return found


def delete(place: Sink, file: MediaFile) -> None:
    delete_file(file)
    write_changed(place)


def test_a_file_that_is_deleted_after_its_sidecar_was_listed_is_not_unknown(
    place: Sink, files: list[MediaFile]
) -> None:
    with before_reading(FILES, lambda: delete(place, files[0])):
        assert list(find_in_sidecars(place)) == []


def test_a_file_that_is_deleted_after_its_row_was_read_lacks_no_sidecar(
    place: Sink, files: list[MediaFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = place.sidecars.of

    def delete_and_look(keys: Collection[str]) -> set[str]:
        delete(place, files[0])
        return look(keys)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(place.sidecars, "of", delete_and_look)
        assert list(find_without_sidecar(place)) == []
    place.sidecars.delete(name_of(files[1].blob.key, files[1].pk))
    assert [(one.defect, one.row) for one in find_without_sidecar(place)] == [(Defect.NO_SIDECAR, files[1].pk)]


def test_bytes_that_are_removed_after_they_were_listed_are_no_orphans(place: Sink, files: list[MediaFile]) -> None:
    key = files[0].blob.key

    def remove_first(_: object) -> None:
        """As the old bytes are after a move to another store."""
        if place.size(key) is not None:
            delete(place, files[0])
            place.delete(key)
            Tombstone.objects.all().delete()

    assert list(find_in_sink(place, grace=timedelta(0), seen=remove_first)) == []
    assert place.size(key) is None
