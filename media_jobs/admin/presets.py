"""Admin pages of presets: the list, and a form to add or change one. See also preset_forms.py."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.safestring import SafeString

from uploads import audit_log
from uploads.admin.lists import bulk_actions, cells
from uploads.admin.lists.model_admin import ReadOnlyAdmin
from uploads.errors import Refusal

from .. import operations, permissions
from ..models import Preset
from ..operations.base import Operation
from ..queue import presets
from .arrivals import arrivals_page
from .job_actions import account
from .job_cells import operation_title
from .job_page import in_words
from .operation_filter import OperationFilter
from .parameter_forms import ParamsForm
from .preset_forms import PresetForm

_PAGE = "admin/media_jobs/preset.html"


@admin.register(Preset)
class PresetAdmin(ReadOnlyAdmin):
    list_display = ["name", "title", "chosen", "whose", "arrival", "state", "created_at"]
    list_filter = [OperationFilter]
    search_fields = ["name"]
    search_help_text = "A part of the name"
    sortable_by = ["created_at"]
    list_select_related = ["owner"]
    ordering = ["-created_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Preset]:
        return permissions.visible_presets(request.user)

    @admin.display(description="operation")
    def title(self, preset: Preset) -> str:
        return operation_title(preset.operation)

    @admin.display(description="parameters")
    def chosen(self, preset: Preset) -> str:
        return ", ".join(f"{name}: {in_words(value)}" for name, value in preset.params.items()) or "defaults"

    @admin.display(description="for")
    def whose(self, preset: Preset) -> str:
        return preset.owner.username if preset.owner else "all accounts"

    @admin.display(description="on arrival")
    def arrival(self, preset: Preset) -> SafeString:
        value, label = ("open", "on") if preset.on_arrival else ("cancelled", "off")
        return cells.state_badge(preset, value, label, is_active=False)

    @admin.display(description="state")
    def state(self, preset: Preset) -> SafeString:
        is_invalid = presets.trouble(preset)
        value, label = ("failed", "cannot be used") if is_invalid else ("succeeded", "ready")
        return cells.state_badge(preset, value, label, is_active=False)

    def get_urls(self) -> list[Any]:
        arrivals = path("arrivals/", self.admin_site.admin_view(arrivals_page), name="media_jobs_preset_arrivals")
        return [arrivals, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return permissions.may_on_preset(request.user, "add", request.user.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Preset | None = None) -> bool:
        owner_id = request.user.pk if obj is None else obj.owner_id
        return permissions.may_on_preset(request.user, "delete", owner_id)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """`add/?operation=NAME`: enter parameters and a name. Without an operation: choose one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        permissions.require_submit(request.user)
        operation = operations.registry.get(request.GET.get("operation", ""))
        if operation is None:
            return self._page(request, {"operations": operations.registry.values(), "title": "Add a preset"})
        form, params = PresetForm(account(request), _sent(request)), ParamsForm(operation, _sent(request))
        if request.method == "POST" and params.is_valid() & form.is_valid():
            preset = form.save(request, operation, params)
            if preset is not None:
                return redirect("admin:media_jobs_preset_changelist")
        return self._form(request, "Add a preset", operation, [form, params])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        preset = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request) or preset is None:
            raise PermissionDenied
        may_change = permissions.may_on_preset(request.user, "change", preset.owner_id)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        # A preset whose operation is gone can be given another one.
        operation = operations.registry.get(request.GET.get("operation") or preset.operation)
        if operation is None:
            offered = operations.registry.values() if may_change else ()
            return self._page(request, _about(preset) | {"operations": offered})
        before = preset.params if operation.name == preset.operation else {}
        form = PresetForm(account(request), _sent(request), preset)
        params = ParamsForm(operation, _sent(request), before)
        if request.method == "POST" and params.is_valid() & form.is_valid():
            changes = {"name": form.cleaned_data["name"], "operation": operation.name, "params": params.params}
            if self._changed(request, preset, changes):
                return redirect("admin:media_jobs_preset_changelist")
        return self._form(
            request, preset.name, operation, [form, params], _about(preset) | {"readonly": not may_change}
        )

    def _changed(self, request: HttpRequest, preset: Preset, changes: Mapping[str, Any]) -> bool:
        try:
            presets.change(preset, **changes)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
            return False
        self.log_change(request, preset, "Changed.")
        messages.success(request, f"The preset “{preset.name}” is saved.")
        return True

    def _form(
        self,
        request: HttpRequest,
        title: str,
        operation: Operation[Any],
        forms: list[Any],
        more: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        return self._page(request, {"title": title, "operation": operation, "forms": forms, **(more or {})})

    def _page(self, request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
        return TemplateResponse(
            request, _PAGE, {**self.admin_site.each_context(request), "opts": self.opts, **context}
        )

    def delete_model(self, request: HttpRequest, obj: Preset) -> None:
        permissions.require_on_preset(request.user, "delete", obj.owner_id)
        presets.delete(obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in found:
            found["delete_selected"] = (type(self).delete_chosen, "delete_selected", "Delete")
        return found

    @admin.action(description="Delete", permissions=["delete"])
    def delete_chosen(self, request: HttpRequest, queryset: QuerySet[Preset]) -> None:
        def delete(preset: Preset) -> None:
            self.delete_model(request, preset)

        bulk_actions.apply_to_each(
            request, queryset, delete, "deleted", why={"forbidden": "are not permitted to your account"},
            flag=audit_log.DELETION,
        )  # fmt: skip


def _sent(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _about(preset: Preset) -> dict[str, Any]:
    return {"preset": preset, "title": preset.name, "trouble": presets.trouble(preset)}
