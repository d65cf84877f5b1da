"""The form that names a preset, and presets in the form that runs an operation: start from one, save as one."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from uploads import audit_log
from uploads.admin.lists.bulk_actions import actor
from uploads.errors import Refusal

from .. import permissions
from ..models import PRESET_NAME_LENGTH, Preset
from ..operations import parse
from ..operations.base import Operation
from ..queue import presets
from .parameter_forms import ParamsForm

PREFIX = "preset"


class PresetForm(forms.Form):
    """The name of a preset and, for those who may choose, whether a new one is for all accounts."""

    name = forms.CharField(
        max_length=PRESET_NAME_LENGTH, required=True, widget=UnfoldAdminTextInputWidget,
        help_text="Unique among your presets, or among those for all accounts.",
    )  # fmt: skip

    def __init__(self, user: User, data: Any = None, preset: Preset | None = None) -> None:
        super().__init__(data, prefix=PREFIX, initial={"name": preset.name} if preset else None)
        self.user = user
        if preset is None and permissions.may_share_presets(user):
            self.fields["for_all"] = forms.BooleanField(
                label="For all accounts", required=False, widget=UnfoldBooleanSwitchWidget,
                help_text="If off, only you can use it.",
            )  # fmt: skip

    def save(self, request: HttpRequest, operation: Operation[Any], params: ParamsForm) -> Preset | None:
        """Save a new preset with these parameters. None if it was refused: a message gives the reason."""
        owner = None if self.cleaned_data.get("for_all") else self.user
        permissions.require_on_preset(self.user, "add", None if owner is None else owner.pk)
        try:
            preset = presets.save(owner, self.cleaned_data["name"], operation.name, params.params)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
            return None
        audit_log.record(actor(request), [preset], "Saved.", audit_log.ADDITION)
        messages.success(request, f"The preset “{preset.name}” is saved.")
        return preset


def chosen(request: HttpRequest) -> Preset | None:
    """The preset that a form starts from: `preset=ID`, in the address or among the fields."""
    text = request.POST.get("preset") or request.GET.get("preset") or ""
    try:
        return presets.find(request.user, text) if text else None
    except Refusal:
        return None  # it was deleted meanwhile


def offered(request: HttpRequest, kinds: Iterable[Operation[Any]]) -> list[Preset]:
    """The presets of these operations that the account may use, by name."""
    names = [operation.name for operation in kinds]
    return list(permissions.usable_presets(request.user).filter(operation__in=names).order_by("name"))


def is_unchanged(preset: Preset | None, form: ParamsForm) -> bool:
    """Whether the form, which is valid, has the parameters of the preset: the job is made from it then."""
    if preset is None or preset.operation != form.operation.name or presets.trouble(preset):
        return False
    return bool(parse(form.operation, preset.params) == form.parsed)
