"""Operations of installed packages, which name them as entry points in the group `millrace.operations`.

A plug-in that cannot be used is left out and reported: it stops neither the service nor other operations.
docs/plugins.md describes what a package must have.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog
from pydantic import ValidationError

from .base import LANES, Operation, Params, canonical
from .divisible import DivisibleOperation
from .shared.parameters import schema

log = structlog.get_logger(__name__)
GROUP = "millrace.operations"
KINDS = frozenset({"video", "audio", "image", "subtitle"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)  # it is part of addresses, commands and a column
_LONGEST_REASON = 300


class Unusable(Exception):
    """Why a plug-in cannot be used, as a sentence for administrators."""


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    name: str  # of its entry point, which is that of its operation
    package: str  # "millrace-contact-sheet 1.0"
    reason: str


@dataclass(frozen=True, slots=True)
class Plugins:
    operations: dict[str, Operation[Any]]
    broken: Sequence[BrokenPlugin]


def load_plugins(taken: Collection[str]) -> Plugins:
    """Import the plug-ins. `taken`: names that operations have already."""
    operations: dict[str, Operation[Any]] = {}
    broken = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, package_of(point))):
        try:
            operations[point.name] = _operation(point, {*taken, *operations})
        except Unusable as reason:
            broken.append(BrokenPlugin(point.name, package_of(point), str(reason)[:_LONGEST_REASON]))
            log.warning("plugin_unusable", plugin=point.name, package=package_of(point), exc_info=True)
    return Plugins(operations, broken)


def package_of(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _operation(point: EntryPoint, taken: Collection[str]) -> Operation[Any]:
    try:
        found = point.load()
        operation = found() if isinstance(found, type) and issubclass(found, Operation) else found
        problem = next(_problems(operation, point.name, taken), None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever its code raises, SystemExit included
        raise Unusable(f"{type(error).__name__}: {error}") from error
    if problem:
        raise Unusable(problem)
    return operation


def _problems(operation: Any, name: str, taken: Collection[str]) -> Iterator[str]:
    if not isinstance(operation, Operation):
        yield "It is not an Operation."
    missing = [each for each in ("name", "version", "title", "summary", "lane", "kinds", "parameters")
               if not hasattr(operation, each)]  # fmt: skip
    if missing:
        yield f"It has no {missing[0]}."
    if operation.name != name:
        yield f"Its name is “{operation.name}”, but that of its entry point is “{name}”."
    if not _NAME.fullmatch(name):
        yield "Its name must have lower-case letters, digits and _ only, at most 32."
    if name in taken:
        yield f"The name “{name}” is taken by another operation."
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
