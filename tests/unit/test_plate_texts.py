"""Which texts are taken for number plates."""

import re

import pytest

from media_jobs.detection.vision.plate_texts import is_plate, plate_text


@pytest.mark.parametrize(
    "text",
    ["AB12 CDE", "ab-123-cd", "31 AX 303", "7ABC123", "粤B 12345", "ＡＢ１２３", "AABC-123", "A1234567 8"],
)  # fmt: skip
def test_plates_of_many_countries_are_plates(text: str) -> None:
    assert is_plate(text, None)


@pytest.mark.parametrize(
    "text",
    ["", "STOP", "50", "A40", "EXIT 24", "EXIT24", "Route 66", "ZONE30", "CITY CENTRE", "12345678", "ABCDEF1",
     "SPEED LIMIT 30", "01234 567890", "Open 24h", "CAM 01", "50 km/h", "30 MPH", "MAX 50"],
)  # fmt: skip
def test_signs_and_numbers_are_none(text: str) -> None:
    assert not is_plate(text, None)


def test_a_pattern_replaces_these_rules() -> None:
    pattern = re.compile("[A-Z]{4}[0-9]{2}")
    assert is_plate("exit-24", pattern)
    assert not is_plate("AB12 CDE", pattern)
    assert not is_plate("EXIT 245", pattern)


def test_a_pattern_that_takes_long_sees_short_texts_only() -> None:
    assert not is_plate("A" * 60, re.compile("(A+)+B"))


def test_the_text_of_a_plate_is_its_letters_and_digits() -> None:
    assert plate_text(" ab-12 cdé. ") == "AB12CDÉ"
