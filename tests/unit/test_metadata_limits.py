"""The metadata that clients keep with files and jobs: what is taken as it is, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.errors import InvalidMetadata, MetadataTooLarge, Refusal
from uploads.text.client_metadata import MOST_BYTES, as_json, checked_metadata, in_words, read_metadata, values_of


def objects(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.text(), inside)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | objects(inside),
)


def nested(depth: int) -> Any:
    return {"in": nested(depth - 1)} if depth > 1 else {"in": 1}


@pytest.mark.parametrize(
    "metadata", [{"a": 1}, {"a": [1, {"b": "ü 日本"}], "c": None, "d": True, "e": -1.5}, {"": ""}, nested(4)]
)
def test_an_object_is_taken_as_it_is(metadata: dict[str, Any]) -> None:
    assert read_metadata(json.dumps(metadata)) == checked_metadata(metadata) == metadata


@pytest.mark.parametrize("nothing", ["", " ", "{}", "null", " { } "])
def test_an_empty_object_is_none(nothing: str) -> None:
    assert read_metadata(nothing) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[]", InvalidMetadata),
        ('"text"', InvalidMetadata),
        ("{", InvalidMetadata),
        ('{"a": NaN}', InvalidMetadata),
        ('{"a": 1e999}', InvalidMetadata),
        ('{"a": 9223372036854775808}', InvalidMetadata),
        ('{"a": ' + "9" * 5000 + "}", InvalidMetadata),
        (r'{"a": "\u0000"}', InvalidMetadata),
        (r'{"a\u0000": 1}', InvalidMetadata),
        (r'{"a": "\ud800"}', InvalidMetadata),
        (json.dumps(nested(5)), InvalidMetadata),
        ('{"a": ' + "[" * 8000 + "]" * 8000 + "}", InvalidMetadata),
        (json.dumps({str(number): 1 for number in range(65)}), MetadataTooLarge),
        (json.dumps({"a": "ü" * 2048}), MetadataTooLarge),
        ("x" * 100_000, MetadataTooLarge),
    ],
)
def test_what_cannot_be_kept_is_refused(text: str, error: type[Refusal]) -> None:
    with pytest.raises(error):
        read_metadata(text)


def test_it_may_be_sent_in_one_place_alone() -> None:
    assert read_metadata("", '{"a": 1}', "") == {"a": 1}
    with pytest.raises(InvalidMetadata):
        read_metadata('{"a": 1}', '{"a": 1}')


def test_the_size_counts_without_white_space() -> None:
    text = "x" * (MOST_BYTES - len('{"a":""}'))
    assert read_metadata(json.dumps({"a": text}, indent=8)) == {"a": text}
    with pytest.raises(MetadataTooLarge):
        checked_metadata({"a": text + "x"})


@given(JSON | objects(JSON))
def test_whatever_is_sent_is_kept_or_refused(value: Any) -> None:
    try:
        kept = checked_metadata(value)
    except Refusal:
        return
    assert kept == (value or None)
    assert json.loads(as_json(kept)) == kept


def test_its_values_can_be_searched_and_shown() -> None:
    metadata = {"b": ["two", {"c": 3}], "a": "one", "d": True, "e": None}
    assert values_of(metadata) == ["two", "3", "one"]
    assert in_words(metadata) == [("a", "one"), ("b", '["two",{"c":3}]'), ("d", "true"), ("e", "null")]
