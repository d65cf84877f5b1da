"""Values that people write in more than one way. They are kept in one, so that the same request is the same work."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

LONGEST = 24 * 3600.0  # seconds


def _seconds(value: Any) -> Any:
    """Times are written as "1:30" and "01:02:03.5", too. What is none is left for the number's own check."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,4}(:[0-5]?\d){1,2}(\.\d{1,6})?", value, re.ASCII):
        return value
    return sum(float(part) * 60**place for place, part in enumerate(reversed(value.split(":"))))


def _kilobits(value: Any) -> Any:
    """As ffmpeg writes it, "128k"."""
    return value[:-1] if isinstance(value, str) and value[-1:] in {"k", "K"} else value


def _moment(value: Any) -> float | str:
    """Where in a film: "best", a share such as "50%", or seconds."""
    text = value.strip() if isinstance(value, str) else ""
    if text == "best":
        return text
    if text.endswith("%"):
        return f"{_number(text[:-1], 100):g}%"
    return _number(_seconds(value), LONGEST)


def _number(value: Any, most: float) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # of a whole number with three hundred digits
        number = float("nan")
    if not 0 <= number <= most:
        raise ValueError('must be seconds, a share such as "50%", or "best"')
    return number


_MOMENT = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(best|\d+(\.\d+)?%)$"}]}

Seconds = Annotated[float, Field(ge=0, le=LONGEST), BeforeValidator(_seconds)]
Bitrate = Annotated[int, Field(ge=16, le=512), BeforeValidator(_kilobits)]
Moment = Annotated[float | str, BeforeValidator(_moment), WithJsonSchema(_MOMENT)]
