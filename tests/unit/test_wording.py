from typing import Any

import pytest
from model_bakery import baker

from uploads.models import Upload
from uploads.text.sizes import human_size
from uploads.text.times import human_time
from uploads.transfers.status_text import upload_eta, upload_message, upload_progress


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (1_500, "1.5 KB"),
        (100_000_000, "100.0 MB"),
        (12_500_000.0, "12.5 MB"),
        (10_737_418_240, "10.7 GB"),
        (2_500_000_000_000, "2.5 TB"),
        (9_000_000_000_000_000, "9000.0 TB"),
    ],
)
def test_a_size_reads_as_people_say_it(size: float, words: str) -> None:
    assert human_size(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (7.4, "7 s"),
        (59, "59 s"),
        (59.7, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.9, "1 h 0 min"),
        (7322, "2 h 2 min"),
    ],
)
def test_a_time_reads_as_people_say_it(seconds: float, words: str) -> None:
    assert human_time(seconds) == words


def upload(**facts: Any) -> Upload:
    made: Upload = baker.prepare(
        Upload, **{"protocol": "put", "state": "receiving", "declared_size": None, "offset": 0, "speed": 0} | facts
    )
    return made


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"declared_size": 187_500_000, "offset": 100_000_000, "speed": 12_500_000},
            "Uploading: 100.0 MB (53 %) at 12.5 MB/s, 7 s left",
        ),
        ({"offset": 100_000_000, "speed": 12_500_000}, "Uploading: 100.0 MB at 12.5 MB/s"),
        ({"declared_size": 200, "offset": 100}, "Uploading: 100 bytes (50 %) at 0 bytes/s"),
        ({"state": "complete", "declared_size": 2000, "offset": 2000}, "Complete: 2.0 KB"),
        ({"state": "failed", "error_detail": "The file is empty."}, "The file is empty."),
    ],
)
def test_an_upload_says_how_it_goes(facts: dict[str, Any], words: str) -> None:
    assert upload_message(upload(**facts)) == words


def test_progress_is_one_when_complete_and_only_then() -> None:
    assert upload_progress(upload(state="complete", declared_size=None)) == 1
    assert upload_progress(upload(declared_size=1000, offset=1000)) == 0.9999
    assert upload_progress(upload(declared_size=3, offset=1)) == 0.3333
    assert upload_progress(upload(declared_size=10, offset=0)) == 0


def test_nobody_knows_the_progress_of_what_has_no_size() -> None:
    assert upload_progress(upload(offset=1000)) is None
    assert upload_eta(upload(offset=1000, speed=10)) is None


@pytest.mark.parametrize(
    ("facts", "eta"),
    [
        ({"declared_size": 1000, "offset": 500, "speed": 100}, 5),
        ({"declared_size": 1000, "offset": 1200, "speed": 100}, 0),
        ({"declared_size": 1000, "offset": 500, "speed": 0}, None),
        ({"declared_size": 1000, "offset": 500, "speed": 100, "state": "failed"}, None),
        ({"declared_size": 1000, "offset": 1000, "speed": 100, "state": "complete"}, None),
    ],
)
def test_what_is_left_is_told_where_it_is_known(facts: dict[str, Any], eta: int | None) -> None:
    assert upload_eta(upload(**facts)) == eta
