"""What an operation of an installed package must have, to be used."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from ..entry_points import PluginGroup
from ..understanding.extras import EXTRAS
from .base import LANES, Operation, Params, canonical
from .divisible import DivisibleOperation
from .shared.parameters import schema

KINDS = frozenset({"video", "audio", "image", "subtitle"})


def _problems(operation: Operation[Any]) -> Iterator[str]:
    yield from _wrong_attributes(operation)
    yield from _wrong_parameters(operation)


def _wrong_attributes(operation: Operation[Any]) -> Iterator[str]:
    if not (isinstance(operation.version, int) and operation.version >= 1):
        yield "Its version must be a whole number from 1 on."
    if not all(isinstance(text, str) and text for text in (operation.title, operation.summary)):
        yield "Its title and summary must be text."
    lanes = [operation.lane, *([operation.parts_lane] if isinstance(operation, DivisibleOperation) else [])]
    for lane in lanes:
        if lane not in LANES:
            yield f"There is no lane “{lane}”. Choose one of: {', '.join(LANES)}."
    if operation.extra and operation.extra not in EXTRAS:
        yield f"There is no extra “{operation.extra}”. Its package must depend on what it needs."
    if not operation.kinds or not KINDS.issuperset(operation.kinds):
        yield f"Its kinds must be some of: {', '.join(sorted(KINDS))}."


def _wrong_parameters(operation: Operation[Any]) -> Iterator[str]:
    """Build the JSON Schema, which the API, the forms and the command line need."""
    parameters = operation.parameters
    if not (isinstance(parameters, type) and issubclass(parameters, Params)):
        yield "Its parameters must be a subclass of Params."
    elif parameters.model_config.get("extra") != "forbid":
        yield "Its parameters must refuse unknown names, as Params does."
    json.dumps(schema(operation)["properties"])
    try:
        json.dumps(canonical(parameters()))
    except ValidationError:
        return  # it has parameters that are required


OPERATIONS: PluginGroup[Operation[Any]] = PluginGroup(
    "millrace.operations",
    Operation,
    ("name", "version", "title", "summary", "lane", "kinds", "parameters"),
    _problems,
)
