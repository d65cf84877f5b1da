"""A form out of an operation's JSON schema. It knows no rule of its own: what is wrong is said by the operation.

Numbers are typed as text, since operations understand more than a number: "1:30", "128k". An empty field is left out,
and so means its default, or nothing.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from ..errors import WrongParams
from ..operations import parse, schema
from ..operations.base import Operation, Params

# So that a parameter may have any name, and a form other fields.
PREFIX = "param"


class ParamsForm(forms.Form):
    """`params` is what was asked for, as the operation takes it; `parsed`, once the form is valid, how it read it."""

    def __init__(self, operation: Operation[Any], data: Any = None, before: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, prefix=PREFIX, initial=_shown(before or {}))
        self.operation = operation
        self.wanted: Mapping[str, Mapping[str, Any]] = schema(operation)["properties"]
        self.fields |= {name: field_for(name, wanted) for name, wanted in self.wanted.items()}
        self.params: dict[str, Any] = {}
        self.parsed: Params | None = None

    def clean(self) -> dict[str, Any]:
        said = {name: value_of(self.cleaned_data.get(name), wanted) for name, wanted in self.wanted.items()}
        self.params = {name: value for name, value in said.items() if value not in ("", None)}
        try:
            self.parsed = parse(self.operation, self.params)
        except WrongParams as wrong:
            for name, messages in wrong.errors.items():
                for message in messages:
                    self.add_error(name if name in self.fields else None, message)
        return self.cleaned_data


def field_for(name: str, wanted: Mapping[str, Any]) -> forms.Field:
    told: dict[str, Any] = {
        "label": wanted.get("title", name),
        "help_text": " ".join(filter(None, [wanted.get("description", ""), limits(wanted)])),
        "initial": _as_text(wanted.get("default")),
        "required": False,
    }
    if wanted.get("type") == "boolean":
        return forms.BooleanField(
            **{**told, "initial": wanted.get("default", False)}, widget=UnfoldBooleanSwitchWidget
        )
    if "enum" in wanted:
        choices = [(str(word), str(word)) for word in wanted["enum"]]
        if "default" not in wanted:
            choices.insert(0, ("", "Left out"))
        # Whether a word is one of them is the operation's to say, in its words.
        return forms.CharField(**told, widget=UnfoldAdminSelectWidget(choices=choices))
    return forms.CharField(**told, widget=Suggesting(suggestions_of(wanted), is_number=_is_number(wanted)))


def value_of(text: Any, wanted: Mapping[str, Any]) -> Any:
    """A number where one is wanted and typed; else what was typed, for the operation to understand or to refuse."""
    if not isinstance(text, str) or text in suggestions_of(wanted):
        return text
    for way in ways_of(wanted):
        try:
            if way.get("type") == "integer":
                return int(text)
            if way.get("type") == "number":
                return float(text)
        except ValueError:
            continue
    return text


def limits(wanted: Mapping[str, Any]) -> str:
    """ "From 16 to 4320." """
    return " ".join(_limits(way) for way in ways_of(wanted)).strip()


def _limits(way: Mapping[str, Any]) -> str:
    match way:
        case {"minimum": least, "maximum": most}:
            return f"From {least:g} to {most:g}."
        case {"minimum": least}:
            return f"At least {least:g}."
        case {"maximum": most}:
            return f"At most {most:g}."
    return ""


def ways_of(wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(wanted.get("anyOf", [wanted]))


def suggestions_of(wanted: Mapping[str, Any]) -> list[str]:
    return [str(word) for way in ways_of(wanted) for word in way.get("enum", [])]


def _is_number(wanted: Mapping[str, Any]) -> bool:
    return all(way.get("type") in {"integer", "number"} for way in ways_of(wanted))


def _shown(params: Mapping[str, Any]) -> dict[str, Any]:
    """As they stood in the fields when somebody asked for them: what was left out is left out again."""
    return {name: value if isinstance(value, bool) else _as_text(value) for name, value in params.items()}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) and value < 1_000_000 and value == round(value, 2) else str(value)


class Suggesting(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A text, and the words that are understood besides."""

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
