"""Which store belongs to which database, at every start."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.local_store import Film, an_owner, lose_marker, lose_rows, own_store, stored_keys, upload
from uploads.models import SinkMark
from uploads.sinks.base import Sink
from uploads.storage.marker import WrongStore, adopt, claim_store, is_ours

pytestmark = pytest.mark.django_db
ANOTHER = "11111111-0000-4000-8000-000000000001"


@pytest.fixture
def place(settings: Any, tmp_path: Path) -> Sink:
    return own_store(settings, tmp_path / "media")


def lose_database() -> None:
    lose_rows()
    SinkMark.objects.all().delete()


def test_a_new_store_is_marked_once_and_accepted_at_every_start(place: Sink) -> None:
    identity = place.identity()
    claim_store(place)
    assert (is_ours(place), place.identity()) == (True, identity)


def test_a_start_that_was_cut_off_between_row_and_marker_is_gone_on_with(place: Sink) -> None:
    lose_marker(place)
    claim_store(place)
    assert is_ours(place)


def test_a_new_database_beside_a_store_that_is_marked_is_refused(place: Sink) -> None:
    lose_database()
    identity = place.identity()
    with pytest.raises(WrongStore, match=r"manage\.py restore(.|\n)*adopt-storage, then manage\.py rebuild"):
        claim_store(place)
    assert (place.identity(), SinkMark.objects.count()) == (identity, 0)


def test_a_new_database_beside_content_without_a_marker_is_refused(place: Sink, film: Film) -> None:
    upload(an_owner(), film())
    keys = stored_keys(place)
    lose_database()
    lose_marker(place)
    with pytest.raises(WrongStore, match="its marker is missing"):
        claim_store(place)
    assert (place.identity(), stored_keys(place)) == (None, keys)


def test_the_store_of_another_installation_is_refused(place: Sink) -> None:
    place.set_identity(ANOTHER)
    with pytest.raises(WrongStore, match="another installation"):
        claim_store(place)
    assert place.identity() == ANOTHER


def test_an_empty_store_for_a_database_with_files_is_refused(place: Sink, film: Film) -> None:
    file = upload(an_owner(), film())
    place.delete(file.blob.key)
    lose_marker(place)
    with pytest.raises(WrongStore, match="The database lists files, but the store is empty"):
        claim_store(place)
    assert (place.identity(), stored_keys(place)) == (None, set())


def test_an_adopted_store_is_ours_and_nobody_elses_from_then_on(place: Sink) -> None:
    place.set_identity(ANOTHER)
    adopt(place)
    assert is_ours(place)
    assert place.identity() != ANOTHER  # the other installation sees that, and stops
    claim_store(place)
