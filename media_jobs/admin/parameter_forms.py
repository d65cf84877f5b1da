"""A form made from the JSON schema of an operation. The operation validates the values.

Numbers are text fields, because operations also accept values such as "1:30" or "128k". An empty field is left out,
so that its default applies.
"""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from ..errors import WrongParams
from ..operations import parse
from ..operations.base import Operation, Params
from ..operations.shared.parameters import is_nested
from ..queue.model_endpoints import schema

# Keeps the names of parameters apart from those of other fields.
PREFIX = "param"


class ParamsForm(forms.Form):
    """After validation, `params` has the values that were entered, and `parsed` the operation's Params.

    Parameters that the operation does not have are shown, and refused: none is dropped in silence.
    """

    def __init__(self, operation: Operation[Any], data: Any = None, before: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, prefix=PREFIX, initial=_shown(before or {}))
        self.operation = operation
        whole = schema(operation)
        self.field_schema: Mapping[str, Mapping[str, Any]] = whole["properties"]
        self.fields |= {
            name: field_for(name, field_schema, is_required=name in whole.get("required", ()))
            for name, field_schema in self.field_schema.items()
        }
        self.unknown = sorted({*(before or {}), *_names_in(data)} - self.fields.keys())
        self.fields |= {name: _field_for_unknown(name, operation) for name in self.unknown}
        self.params: dict[str, Any] = {}
        self.parsed: Params | None = None

    def clean(self) -> dict[str, Any]:
        values = {
            name: value_of(self.cleaned_data.get(name), field_schema)
            for name, field_schema in self.field_schema.items()
        } | {name: self.cleaned_data.get(name) for name in self.unknown}
        self.params = {name: value for name, value in values.items() if value not in ("", None)}
        try:
            self.parsed = parse(self.operation, self.params)
        except WrongParams as wrong:
            for name, messages in wrong.errors.items():
                for message in messages:
                    self.add_error(name if name in self.fields else None, message)
        return self.cleaned_data


def _names_in(data: Any) -> set[str]:
    return {name.removeprefix(f"{PREFIX}-") for name in data or () if name.startswith(f"{PREFIX}-")}


def _field_for_unknown(name: str, operation: Operation[Any]) -> forms.Field:
    """Of a preset or job from before the operation lost this parameter. It is refused unless it is empty."""
    told = f"{operation.title} has no such parameter. Empty it to leave it out."
    return forms.CharField(label=name[:40], help_text=told, required=False, widget=UnfoldAdminTextInputWidget)


def field_for(name: str, field_schema: Mapping[str, Any], *, is_required: bool = False) -> forms.Field:
    told: dict[str, Any] = {
        "label": field_schema.get("title", name),
        "help_text": " ".join(filter(None, [field_schema.get("description", ""), limits(field_schema)])),
        "initial": _as_text(field_schema.get("default")),
        "required": False,
    }
    if is_nested(field_schema):
        example = field_schema.get("default") or next(iter(field_schema.get("examples", [])), None)
        shown = json.dumps(example)
        widget = UnfoldAdminTextareaWidget({"rows": 4, "spellcheck": "false", **_marks(name, shown)})
        return forms.CharField(**{**told, "initial": shown}, widget=widget)
    if field_schema.get("type") == "boolean":
        return forms.BooleanField(
            **{**told, "initial": field_schema.get("default", False)}, widget=UnfoldBooleanSwitchWidget
        )
    if words := field_schema.get("items", {}).get("enum"):
        return Checkboxes(
            **told, widget=UnfoldAdminCheckboxSelectMultipleWidget(choices=[(each, each) for each in words])
        )
    if "enum" in field_schema:
        choices = [(str(word), str(word)) for word in field_schema["enum"]]
        if "default" not in field_schema:
            choices.insert(0, ("", "Choose one" if is_required else "Left out"))
        # A CharField: the operation reports a wrong value itself.
        return forms.CharField(**told, widget=UnfoldAdminSelectWidget(choices=choices))
    return forms.CharField(
        **told, widget=Suggesting(suggestions_of(field_schema), is_number=_is_number(field_schema))
    )


def _marks(name: str, shown: str) -> dict[str, str]:
    """Scripts find the field by these attributes (clip_list.js)."""
    return {"data-list": name, "data-example": shown}


def value_of(text: Any, field_schema: Mapping[str, Any]) -> Any:
    """The text as a number if the schema allows one, else as it is: the operation validates it."""
    if not isinstance(text, str):
        return text
    if is_nested(field_schema):
        return _parsed(text)
    ways = ways_of(field_schema)
    for word in (word for way in ways for word in way.get("enum", [])):
        if text == str(word):
            return word
    for way in ways:
        try:
            if way.get("type") == "integer":
                return int(text)
            if way.get("type") == "number":
                return float(text)
        except ValueError:
            continue
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else text
    except (ValueError, RecursionError):
        return text  # the operation says what it should be


def limits(field_schema: Mapping[str, Any]) -> str:
    """ "From 16 to 4320." """
    return " ".join(_limits(way) for way in ways_of(field_schema)).strip()


def _limits(way: Mapping[str, Any]) -> str:
    match way:
        case {"minimum": least, "maximum": most}:
            return f"From {least:g} to {most:g}."
        case {"minimum": least}:
            return f"At least {least:g}."
        case {"maximum": most}:
            return f"At most {most:g}."
    return ""


def ways_of(field_schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(field_schema.get("anyOf", [field_schema]))


def suggestions_of(field_schema: Mapping[str, Any]) -> list[str]:
    return [str(word) for way in ways_of(field_schema) for word in way.get("enum", way.get("examples", []))]


def _is_number(field_schema: Mapping[str, Any]) -> bool:
    return all(way.get("type") in {"integer", "number"} for way in ways_of(field_schema))


def _shown(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an earlier job as the values of fields. Parameters that it left out stay empty."""
    return {name: value if isinstance(value, bool) else _as_text(value) for name, value in params.items()}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) and value < 1_000_000 and value == round(value, 2) else str(value)


class Checkboxes(forms.Field):
    """A list of words, of which some are chosen. The operation reports a wrong one itself."""

    def prepare_value(self, value: Any) -> Any:
        return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


class Suggesting(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A text input that suggests the words which the operation accepts."""

    def __init__(self, words: list[str], *, is_number: bool) -> None:
        self.words = words
        super().__init__({"inputmode": "decimal"} if is_number else {})

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        if not self.words:
            return SafeString(super().render(name, value, attrs, renderer))
        about = f"{name}-words"
        field = super().render(name, value, {**(attrs or {}), "list": about}, renderer)
        options = format_html_join("", "<option>{}</option>", ((word,) for word in self.words))
        return format_html('{}<datalist id="{}">{}</datalist>', field, about, options)
