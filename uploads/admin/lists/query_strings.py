"""What may be asked of a list: its own filters, its own actions, and rows by what can be an id."""

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
    """Of a ModelAdmin. Django would hand to the database whatever was sent, and answer 500 if that cannot hold it."""

    list_filter: Sequence[Any]
    opts: Any

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Django takes any lookup of any column: one by a regular expression would hold a core for minutes."""
        return "\0" not in value and any(lookup in _parameters(declared) for declared in self.list_filter)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if not can_be(self.opts.pk, object_id):
            return None
        return super().get_object(request, object_id, from_field)  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """An action that is not offered is forbidden. Django would answer with the list, as if nothing had been."""
        asked = request.POST.get("action") if request.method == "POST" else None
        if asked and asked not in self.get_actions(request):  # type: ignore[attr-defined]  # the ModelAdmin's
            raise PermissionDenied
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME) if asked else []
        if any(not can_be(self.opts.pk, text) for text in chosen):
            raise InvalidParams("These rows were chosen by something that is no id.")
        response: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return response

    def formfield_for_manytomany(self, field: Any, request: HttpRequest, **more: Any) -> Any:
        return super().formfield_for_manytomany(field, request, form_class=CheckedRowsField, **more)  # type: ignore[misc]


class CheckedRowsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic in its stubs alone
    """Rows that were chosen in a form."""

    def clean(self, value: Any) -> Any:
        model: type[Model] = self.queryset.model  # type: ignore[union-attr]  # there is always one
        for text in value or []:
            if not can_be(model._meta.pk, text):
                raise ValidationError(self.error_messages["invalid_pk_value"], "invalid_pk_value", {"pk": text})
        return super().clean(value)


def can_be(field: "Field[Any, Any]", text: Any) -> bool:
    """Whether the database can look for this value in the field at all."""
    try:
        field.clean(text, None)
    except ValidationError:
        return False
    return "\0" not in str(text)


def _parameters(declared: Any) -> set[str]:
    """What a filter of a list reads."""
    if isinstance(declared, str | tuple):
        name = declared if isinstance(declared, str) else declared[0]
        return {f"{name}{lookup}" for lookup in ("__exact", "__isnull", "__id__exact")}
    if issubclass(declared, RangeFilter):
        return set(declared.parameters())
    return {declared.parameter_name}
