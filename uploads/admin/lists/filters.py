"""What lists are narrowed by. Plain inputs, no scripts; and no list of all accounts."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesRadioFilter, TextFilter
from unfold.widgets import INPUT_CLASSES

from ...search import owned_by
from ...text.sizes import parse_size
from ...text.times import to_utc

_LARGEST = 2**62  # larger than any file, and still an integer of the database


class ChoiceFilter(ChoicesRadioFilter):  # type: ignore[misc]
    """One of a field's choices, or all."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if not self.value():
            return queryset
        narrowed: QuerySet[Any] | None = super().queryset(request, queryset)
        return narrowed


class OwnerFilter(TextFilter):  # type: ignore[misc]
    title = "owner"
    parameter_name = "owner"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        return owned_by(queryset, name) if name else queryset


class RangeFilter(admin.ListFilter):
    """From and to, either of which may be left out. What cannot be read is said, and narrows nothing."""

    template = "unfold/filters/filters_numeric_range.html"
    field: ClassVar[str]
    example: ClassVar[str]
    attributes: ClassVar[dict[str, str]] = {}

    @classmethod
    def parameters(cls) -> tuple[str, str]:
        return f"{cls.field}_from", f"{cls.field}_to"

    @property
    def names(self) -> tuple[str, str]:
        return self.parameters()

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: type[Model], model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.bounds: dict[str, Any] = {}
        for name in self.names:
            text = params.pop(name, [""])[-1].strip()
            if not text:
                continue
            self.used_parameters[name] = text
            try:
                self.bounds[name] = self.read(text)
            except ValueError:
                messages.error(request, f"{text} is no {self.title} that can be read. Write it as {self.example}.")

    def read(self, text: str) -> Any:
        """The value, or ValueError."""
        raise NotImplementedError

    def upper(self, value: Any) -> dict[str, Any]:
        return {f"{self.field}__lte": value}

    def expected_parameters(self) -> list[str | None]:
        return [*self.names]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {}
        lowest, highest = (self.bounds.get(name) for name in self.names)
        if lowest is not None:
            wanted[f"{self.field}__gte"] = lowest
        if highest is not None:
            wanted |= self.upper(highest)
        return queryset.filter(**wanted)

    def choices(self, changelist: Any) -> Iterator[Any]:
        form = forms.Form(self.used_parameters)
        for name, words in zip(self.names, ("From", "To"), strict=True):
            seen = {"placeholder": words, "aria-label": f"{self.title}: {words}", "class": " ".join(INPUT_CLASSES)}
            widget = forms.TextInput(attrs=seen | self.attributes)
            form.fields[name] = forms.CharField(required=False, widget=widget)
        yield {"form": form}


class CreatedFilter(RangeFilter):
    title = "day of creation"
    field = "created_at"
    example = "2026-01-31"
    template = "unfold/filters/filters_date_range.html"  # one above the other: beside each other they are too wide
    attributes: ClassVar[dict[str, str]] = {"type": "date"}

    def read(self, text: str) -> datetime:
        return to_utc(datetime.combine(date.fromisoformat(text), time()))

    def upper(self, value: datetime) -> dict[str, Any]:
        try:
            return {"created_at__lt": value + timedelta(days=1)}  # the last day belongs to it
        except OverflowError:
            return {}


class SizeFilter(RangeFilter):
    title = "size"
    field = "size"
    example = "500 MB"

    def read(self, text: str) -> int:
        return min(parse_size(text), _LARGEST)
