"""Values that somebody forgets to expect: at the edges of numbers, dates, texts, and of what a database can hold."""

import base64
import json
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from tests.support.repetitions import MORE

LEAST = 10  # values that every parameter is tried with


def cursor(said: str | bytes) -> str:
    return base64.b64encode(said.encode() if isinstance(said, str) else said).decode()


# As they stand in an address or a form; bytes are percent-encoded as they are.
NUMBERS: list[str | bytes] = [
    "0", "-1", "1", "²", "٣", "1.5", "1e50", "1e309", "-1e309", "NaN", "inf", "-Infinity", "1e999999999", "9" * 10,
    "9" * 19,    "9" * 20, "-" + "9" * 20, "9" * 309, "9" * 5000, "0x1f", "1_000", "1,2", "0.0.0",
]  # fmt: skip
MOMENTS: list[str | bytes] = [
    "0001-01-01", "9999-12-31", "0000-00-00", "10000-01-01", "2026-02-30", "2026-13-01", "-0001-01-01",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-13-01T00:00:00Z", "2026-01-01T24:61:61Z",
    "2026-01-01T00:00:00+99:99", "2026-01-01 00:00:00", "0001-01-01 00:00", "1:30", "99:99:99",
]  # fmt: skip
CURSORS: list[str | bytes] = [
    cursor("p=foo"), cursor("p="), cursor("p=0001-01-01 00:00:00%2B14:00"), cursor("p=9999-12-31 23:59:59-14:00"),
    cursor("p=2026-13-01"), cursor("p=2026-01-01"), cursor("p=\0"), cursor("o=99999999999999999999"), cursor("o=-1"),
    cursor("o=x&r=1"), cursor("r=1&p=1"), cursor(b"\xff\xfe"), cursor("p=" + "9" * 400), "cD1mb28", "====", "p",
]  # fmt: skip
TEXTS: list[str | bytes] = [
    "", " ", "foo", "null", "true", b"\0", b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", "\U0010ffff", "a\u0301", "\u202e",
    "\r\nX: y",    "%", "_", "\\", "'", '"; --', "../../etc/passwd", "{}", "[]", "[[", "(" * 200, "(a+)+$",
    "a" * 3000,
    "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-00000000000g", "urn:uuid:" + "0" * 32,
    "{" + "0" * 32 + "}", ".", "-", "--", "-1.-1", "1.-99", "id", "-created_at", "pk", "?", "owner__password",
]  # fmt: skip
EVERYTHING = [*NUMBERS, *MOMENTS, *CURSORS, *TEXTS]

# As JSON can say them. The last ones are written as they are: no Python value becomes them.
_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.5, -0.0, 1e308, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**20, 10**308,
    10**309, 10**4000, "", " ", "foo", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202e", "9" * 20, "9" * 309,
    "9" * 5000, "1e999", "nan", "-inf", "²", "٣", "1:30", "99:99:99", "50%", "-1%", "1e9%", "best", "128k", "k", "%",
    "0001-01-01T00:00:00+14:00", "00000000-0000-0000-0000-000000000000", "a" * 3000, "../../etc/passwd",
    [], [[]], [[[]]], [None], [{}], [1, "a"], ["00000000-0000-0000-0000-000000000000"] * 2, ["x"] * 70,
    {}, {"": ""}, {"a": {"b": []}}, {"a": 1}, {"\0": "\0"}, {"\ud800": "x"}, {"__class__": "x"}, {"a": "\0"},
]  # fmt: skip
_RAW = [
    "NaN", "1e999", "-Infinity", "[" * 500 + "]" * 500, "[" * 60000, '{"a":' * 300 + "1" + "}" * 300, "{", "",
    "1" * 5000, "\ufeff{}",
]  # fmt: skip
DOCUMENTS = [*(json.dumps(value) for value in _VALUES), *_RAW]

V = TypeVar("V")


def some(of: str, sharp: Sequence[V], pool: Sequence[V]) -> list[V]:
    """What is sharp for this parameter, and some of the rest: always the same, others for each parameter.

    TESTS_MORE=10 makes that all of it.
    """
    rest = [value for value in pool if value not in sharp]
    return [*sharp, *Random(of).sample(rest, min(len(rest), max(LEAST - len(sharp), 2) * MORE))]
