"""Filters of lists: choices, owner, and ranges of dates and sizes. They need no scripts."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesRadioFilter, TextFilter
from unfold.widgets import INPUT_CLASSES

from ...list_search import owned_by
from ...text.sizes import parse_size
from ...text.times import to_utc

_LARGEST = 2**62  # larger than any file, and still an integer of the database


class ChoiceFilter(ChoicesRadioFilter):  # type: ignore[misc]
    """Filter by one of a field's choices."""

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
    """Filter from and to a value; both are optional. An invalid value is reported and ignored."""

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
                messages.error(request, f"“{text}” is not a valid {self.title}. Write it like {self.example}.")

    def read(self, text: str) -> Any:
        """Parse the text; ValueError if it is invalid."""
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
        for name, label in zip(self.names, ("From", "To"), strict=True):
            attrs = {"placeholder": label, "aria-label": f"{self.title}: {label}", "class": " ".join(INPUT_CLASSES)}
            widget = forms.TextInput(attrs=attrs | self.attributes)
            form.fields[name] = forms.CharField(required=False, widget=widget)
        yield {"form": form}


class CreatedFilter(RangeFilter):
    title = "date"
    field = "created_at"
    example = "2026-01-31"
    template = "unfold/filters/filters_date_range.html"  # one below the other; side by side they are too wide
    attributes: ClassVar[dict[str, str]] = {"type": "date"}

    def read(self, text: str) -> datetime:
        return to_utc(datetime.combine(date.fromisoformat(text), time()))

    def upper(self, value: datetime) -> dict[str, Any]:
        try:
            return {"created_at__lt": value + timedelta(days=1)}  # includes the last day
        except OverflowError:
            return {}


class SizeFilter(RangeFilter):
    title = "size"
    field = "size"
    example = "500 MB"

    def read(self, text: str) -> int:
        return min(parse_size(text), _LARGEST)
