import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.repetitions import MORE
from uploads.errors import InvalidName
from uploads.text.file_names import MAX_LENGTH, clean_name


@pytest.mark.parametrize(
    "name", ["movie.mp4", "Ürlaub am Méer.mkv", "映画 🎬.webm", ".hidden", "a..b", "100 %.mp4", "…"]
)
def test_a_good_name_stays_as_it_is(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  a \t b  c.mp4 ", "a b c.mp4"),
        ("line\r\nbreak.mp4", "line break.mp4"),
        ("bell\a\x1b[31m.mp4", "bell[31m.mp4"),
        ("exe\u202e4pm.mp4", "exe4pm.mp4"),
        ("zero\u200bwidth\ufeff.mp4", "zerowidth.mp4"),
        ("half\ud800.mp4", "half.mp4"),
        ("private\ue000.mp4", "private.mp4"),
        ("nicht\u00a0trennen.mp4", "nicht trennen.mp4"),
        ("u\u0308ber.mp4", "über.mp4"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_name_that_only_looks_bad_is_cleaned(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "no name"),
        (" \t\r\n", "no name"),
        ("\u200b\u202e\x07", "no name"),
        ("a/b.mp4", "path"),
        ("../secret", "path"),
        ("C:\\film.mp4", "path"),
        (".", "path"),
        (" .. ", "path"),
        ("a\0.mp4", "NUL"),
        ("x" * 256, "256 characters"),
    ],
)
def test_a_name_that_means_something_else_is_refused(raw: str, reason: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        clean_name(raw)
    assert reason in refusal.value.detail


@settings(max_examples=250 * MORE, deadline=None)
@given(st.text(max_size=300))
def test_whatever_comes_is_refused_or_a_name_people_can_read(raw: str) -> None:
    try:
        name = clean_name(raw)
    except InvalidName:
        return
    assert 0 < len(name) <= MAX_LENGTH
    assert name == " ".join(name.split())
    assert name not in {".", ".."}
    assert not set(name) & set("/\\\0\r\n")
    assert not {unicodedata.category(character) for character in name} & {"Cc", "Cf", "Cs", "Co", "Cn"}
    assert name.encode()


@settings(max_examples=125 * MORE, deadline=None)
@given(st.text(max_size=300))
def test_a_clean_name_is_clean_for_good(raw: str) -> None:
    try:
        name = clean_name(raw)
    except InvalidName:
        return
    assert clean_name(name) == name
