"""The metadata of files and jobs: a small JSON object of the client's own, which it gets back with each of them.

It has nothing to do with the tags inside of a recording, which the parameter `metadata` of some operations is about.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, Never

from ..errors import InvalidMetadata, MetadataTooLarge

Metadata = dict[str, Any]

MOST_BYTES = 4096  # as JSON without white space, in UTF-8
MOST_NAMES = 64  # in all objects together
DEEPEST = 4  # objects and lists in each other
_LONGEST_TEXT = 4 * MOST_BYTES  # as it is sent: with white space, and with \u escapes
_LARGEST_NUMBER = 2**63

_NO_OBJECT = '`metadata` must be a JSON object, such as {"camera": 7}.'


def read_metadata(*texts: str) -> Metadata | None:
    """The metadata in the texts that a request has in the places where it may have it. None: in none of them."""
    given = [text for text in texts if text.strip()]
    if len(given) > 1:
        raise InvalidMetadata("Send `metadata` once.")
    return _parsed(given[0]) if given else None


def checked_metadata(value: object) -> Metadata | None:
    """The metadata in a value that was JSON, as it is stored: None for an empty object, which is the same as none."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidMetadata(_NO_OBJECT)
    names = 0
    for found, depth in _parts(value):
        if depth > DEEPEST:
            raise InvalidMetadata(f"`metadata` may have {DEEPEST} levels of objects and lists in each other.")
        if isinstance(found, dict):
            names += len(found)
            for name in found:
                _check(name)
        elif not isinstance(found, list):
            _check(found)
    if names > MOST_NAMES:
        raise MetadataTooLarge(f"`metadata` has {names} names. At most {MOST_NAMES} are allowed.")
    size = len(as_json(value).encode())
    if size > MOST_BYTES:
        raise MetadataTooLarge(f"`metadata` has {size} bytes as JSON. At most {MOST_BYTES} are allowed.")
    return value or None


def as_json(metadata: object) -> str:
    """The same text for equal metadata: PostgreSQL does not keep the order of names."""
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def values_of(metadata: Metadata) -> list[str]:
    """The texts and numbers in it, for search."""
    leaves = (found for found, _ in _parts(metadata) if isinstance(found, str | int | float))
    return [str(leaf) for leaf in leaves if not isinstance(leaf, bool)]


def in_words(metadata: Metadata | None) -> list[tuple[str, str]]:
    """Its names and values, for people."""
    found = metadata or {}
    return [(name, value if isinstance(value, str) else as_json(value)) for name, value in sorted(found.items())]


def _parsed(text: str) -> Metadata | None:
    if len(text) > _LONGEST_TEXT:
        raise MetadataTooLarge(f"`metadata` has {len(text)} characters. At most {MOST_BYTES} bytes are allowed.")
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidMetadata(_NO_OBJECT) from error
    return checked_metadata({} if found is None else found)


def _refuse_constant(name: str) -> Never:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _parts(value: object) -> Iterator[tuple[object, int]]:
    """The value and all that it contains in the order of the document, each with its depth. Stops below DEEPEST."""
    waiting: list[tuple[object, int]] = [(value, 1 if isinstance(value, dict | list) else 0)]
    while waiting:
        found, depth = waiting.pop()
        yield found, depth
        inside = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
        if depth <= DEEPEST:
            waiting += [(each, depth + isinstance(each, dict | list)) for each in reversed(inside)]


def _check(leaf: object) -> None:
    """Refuse what one of the databases cannot keep, or gives back as something else."""
    match leaf:
        case str() if "\0" in leaf or any("\ud800" <= character <= "\udfff" for character in leaf):
            raise InvalidMetadata(
                "A text in `metadata` has a character that cannot be stored: NUL, or half a character."
            )
        case float() if not math.isfinite(leaf):
            raise InvalidMetadata("`metadata` has a number that is none in JSON.")
        case int() | float() if abs(leaf) >= _LARGEST_NUMBER:
            raise InvalidMetadata("`metadata` has a number beyond 64 bits. Send it as text.")
