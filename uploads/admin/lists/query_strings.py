"""Check the query string, actions and ids of a request to a list before they reach the database."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Field, Model
from django.http import HttpRequest, HttpResponse

from ...errors import InvalidParams
from .filters import RangeFilter


class CheckedRequestsMixin:
    """For a ModelAdmin. Django passes any value to the database, and answers 500 if the database refuses it."""

    list_filter: Sequence[Any]
    opts: Any

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the list's own filters. Django allows any lookup; a regular expression could take minutes."""
        return "\0" not in value and any(lookup in _parameters(declared) for declared in self.list_filter)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if not can_be(self.opts.pk, object_id):
            return None
        return super().get_object(request, object_id, from_field)  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Refuse an action that is not offered. Django would ignore it and show the list."""
        action = request.POST.get("action") if request.method == "POST" else None
        if action and action not in self.get_actions(request):  # type: ignore[attr-defined]  # the ModelAdmin's
            raise PermissionDenied
        selected = request.POST.getlist(ACTION_CHECKBOX_NAME) if action else []
        if any(not can_be(self.opts.pk, text) for text in selected):
            raise InvalidParams("A selected row has an invalid ID.")
        response: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return response

    def formfield_for_manytomany(self, field: Any, request: HttpRequest, **more: Any) -> Any:
        return super().formfield_for_manytomany(field, request, form_class=CheckedRowsField, **more)  # type: ignore[misc]


class CheckedRowsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic in its stubs alone
    """Selected rows in a form. Reports an invalid id as an error."""

    def clean(self, value: Any) -> Any:
        model: type[Model] = self.queryset.model  # type: ignore[union-attr]  # there is always one
        for text in value or []:
            if not can_be(model._meta.pk, text):
                raise ValidationError(self.error_messages["invalid_pk_value"], "invalid_pk_value", {"pk": text})
        return super().clean(value)


def can_be(field: "Field[Any, Any]", text: Any) -> bool:
    """Whether the database accepts this value for the field."""
    try:
        field.clean(text, None)
    except ValidationError:
        return False
    return "\0" not in str(text)


def _parameters(declared: Any) -> set[str]:
    """The query parameters of a filter."""
    if isinstance(declared, str | tuple):
        name = declared if isinstance(declared, str) else declared[0]
        return {f"{name}{lookup}" for lookup in ("__exact", "__isnull", "__id__exact")}
    if issubclass(declared, RangeFilter):
        return set(declared.parameters())
    return {declared.parameter_name}
