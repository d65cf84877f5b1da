"""Parameters of operations: shared types, the JSON Schema, and validation with messages for users."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, WithJsonSchema
from pydantic_core import ErrorDetails

from ...errors import WrongParams
from ..base import Operation, P

MAX_DURATION = 24 * 3600.0  # seconds
MAX_SOUND_DURATION = 4 * MAX_DURATION  # audio books last for days
MAX_ERRORS = 20  # in one answer: a request may have a thousand unknown names

_TYPES = {
    "array": "a list such as 720, 360, or none",
    "boolean": "true or false",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
}


class ParameterError(ValueError):
    """Raised by validators that compare several parameters: names the wrong one and the problem."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(problem)
        self.parameter = parameter


def _seconds(value: Any) -> Any:
    """Convert times such as "1:30" and "01:02:03.5" to seconds. Other values are left to the check for numbers."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,4}(:[0-5]?\d){1,2}(\.\d{1,6})?", value, re.ASCII):
        return value
    return sum(float(part) * 60**place for place, part in enumerate(reversed(value.split(":"))))


def _kilobits(value: Any) -> Any:
    """Accept ffmpeg's notation, "128k"."""
    return value[:-1] if isinstance(value, str) and value[-1:] in {"k", "K"} else value


def _list(value: Any) -> Any:
    """A list as text, such as people type: "720, 360" or "none"."""
    if not isinstance(value, str):
        return value
    return [] if value.strip() == "none" else [word.strip() for word in value.split(",")]


def _descending(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(values), reverse=True))


def _moment(value: Any) -> float | str:
    """A time in a video: "best", a share such as "50%", or seconds."""
    text = value.strip() if isinstance(value, str) else ""
    if text == "best":
        return text
    if text.endswith("%"):
        return f"{_number(text[:-1], 100):g}%"
    return _number(_seconds(value), MAX_DURATION)


def _number(value: Any, maximum: float) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # an integer of three hundred digits
        number = float("nan")
    if not 0 <= number <= maximum:
        raise ValueError("must be seconds, a time such as 1:30, a percentage such as 50%, or best")
    return number


def _after_start(end: float | None, info: ValidationInfo) -> float | None:
    if end is not None and end <= info.data.get("start", 0.0):
        raise ValueError("must be after start")
    return end


_MOMENT = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(best|\d+(\.\d+)?%)$"}]}

as_list = BeforeValidator(_list)
Seconds = Annotated[float, Field(ge=0, le=MAX_DURATION), BeforeValidator(_seconds)]
Start = Annotated[Seconds, Field(title="Start", description="Seconds from the beginning, or a time such as 1:30.")]
Interval = Annotated[float, Field(ge=0.5, le=3600), BeforeValidator(_seconds)]
# A model declares `start` before `end`.
End = Annotated[
    Seconds | None,
    AfterValidator(_after_start),
    Field(
        title="End",
        description="Seconds from the beginning, or a time such as 1:30. If left out: the end.",
    ),
]
Bitrate = Annotated[int, Field(ge=16, le=512), BeforeValidator(_kilobits)]
Heights = Annotated[
    tuple[Annotated[int, Field(ge=16, le=4320)], ...],
    Field(max_length=10),
    AfterValidator(_descending),
    as_list,
]
Moment = Annotated[float | str, BeforeValidator(_moment), WithJsonSchema(_MOMENT)]


def parse(operation: Operation[P], raw: Any) -> P:
    """Validate parameters. Raises WrongParams with a message for each wrong one. None means the defaults."""
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise WrongParams({"params": ["params must be an object of names and values."]})
    try:
        return operation.parameters.model_validate(raw)
    except ValidationError as error:
        raise WrongParams(_messages(operation, error.errors(include_url=False)[:MAX_ERRORS])) from None


def schema(operation: Operation[Any]) -> dict[str, Any]:
    """JSON Schema of the parameters, for the API and for forms. A parameter without a default may be left out."""
    found = operation.parameters.model_json_schema()
    properties = {name: _without_null(wanted) for name, wanted in found["properties"].items()}
    return {**found, "title": operation.title, "description": operation.summary, "properties": properties}


def _without_null(wanted: dict[str, Any]) -> dict[str, Any]:
    """Replace pydantic's `anyOf: [X, null]` for an optional parameter by X."""
    types = [each for each in wanted.get("anyOf", []) if each != {"type": "null"}]
    if not types or len(types) == len(wanted["anyOf"]):
        return wanted
    rest = {key: value for key, value in wanted.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**types[0], **rest} if len(types) == 1 else {"anyOf": types, **rest}


def _messages(operation: Operation[Any], errors: Iterable[ErrorDetails]) -> dict[str, list[str]]:
    wanted = schema(operation)["properties"]
    found: dict[str, list[str]] = {}
    for error in errors:
        if error["type"] == "too_short" and str(error["loc"][0]) in found:
            continue  # wrong items are not counted
        name, message = _message(operation.name, wanted, error)
        messages = found.setdefault(name, [])
        if message not in messages:  # each type of a union gives the same message
            messages.append(message)
    return found


def _message(operation: str, wanted: Mapping[str, Any], error: ErrorDetails) -> tuple[str, str]:
    cause = error.get("ctx", {}).get("error")
    if not error["loc"] and not isinstance(cause, ParameterError):
        return "params", "params has a name that is not valid text."  # half of a surrogate pair, which JSON can hold
    name = cause.parameter if isinstance(cause, ParameterError) else str(error["loc"][0])
    if len(error["loc"]) > 1 and is_nested(wanted.get(name, {})):
        return name, _nested_message(error, cause)
    if error["type"] == "extra_forbidden":
        return name, f"{operation} has no parameter {_short(name)}{_suggestion(name, list(wanted))}"
    if error["type"] == "missing" and wanted[name].get("type") == "string":
        return name, f"{name} is needed."
    if cause is not None:
        return name, f"{name} {cause}."
    if error["type"] in {"greater_than_equal", "less_than_equal"} and _limits(wanted[name]):
        return name, f"{name} must be {_limits(wanted[name])}."
    return name, f"{name} must be {_description(wanted[name])}."


def is_nested(wanted: Mapping[str, Any]) -> bool:
    """Whether the parameter is an object, or a list of objects."""
    return "$ref" in wanted or "$ref" in wanted.get("items", {})


def _nested_message(error: ErrorDetails, cause: object) -> str:
    """ "clips[3].end: it must be a number." """
    first, *rest = error["loc"]
    path = str(first) + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in rest)[:60]
    if error["type"] == "extra_forbidden":
        return f"{path} is unknown."
    return f"{path}: {cause or error['msg'].replace('Input should', 'it should').replace('Field', 'it is')}."


def _suggestion(name: str, known: Sequence[str]) -> str:
    if near := get_close_matches(name.lower(), known, n=1):
        return f". Did you mean {near[0]}?"
    return f". Its parameters are {_listed(known, 'and')}." if known else ". It has no parameters."


def _short(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:39] + "…")


def _description(wanted: Mapping[str, Any]) -> str:
    if "anyOf" in wanted:
        return ", or ".join(_description(each) for each in wanted["anyOf"])
    if "enum" in wanted:
        return _listed(wanted["enum"], "or")
    if "const" in wanted:
        return str(wanted["const"])
    if is_nested(wanted):
        objects = f"{wanted.get('minItems', 0)} to {wanted.get('maxItems', 'any number of')} objects"
        return f"a list of {objects}" if "items" in wanted else "an object"
    if words := wanted.get("items", {}).get("enum"):
        return f"some of {_listed(words, 'and')}"
    if "pattern" in wanted and "description" in wanted:
        return str(wanted["description"])
    limits = _limits(wanted)
    return f"{_TYPES[wanted['type']]} {'of ' if limits.startswith('at') else ''}{limits}".strip()


def _limits(wanted: Mapping[str, Any]) -> str:
    match wanted:
        case {"minimum": low, "maximum": high}:
            return f"between {low:g} and {high:g}"
        case {"minimum": low}:
            return f"at least {low:g}"
        case {"maximum": high}:
            return f"at most {high:g}"
    return ""


def _listed(words: Sequence[Any], last: str) -> str:
    *others, end = map(str, words)
    return f"{', '.join(others)} {last} {end}" if others else end
