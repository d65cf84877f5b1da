"""The page “On arrival”: which presets run on new uploads, of all accounts and of one's own, each with a switch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from uploads import audit_log
from uploads.admin.lists.bulk_actions import actor
from uploads.errors import Refusal

from .. import operations, permissions
from ..errors import WrongParams
from ..models import Preset
from ..operations.base import Operation
from ..queue import arrivals, presets
from ..queue.submission import INSPECT
from .job_actions import account
from .job_cells import operation_title

PAGE = "admin:media_jobs_preset_arrivals"
_TEMPLATE = "admin/media_jobs/arrivals.html"


@dataclass(frozen=True, slots=True)
class Row:
    preset: Preset
    operation: str
    runs_for_all: bool
    runs_for_you: bool
    trouble: str


def arrivals_page(request: HttpRequest) -> HttpResponse:
    """A POST is one switch: `preset`, `for` (all or me) and `to` (on or off); or `operation`, to begin with one."""
    user = account(request)
    permissions.require_submit(user)
    if request.method == "POST":
        try:
            _switch(request)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
        return redirect(PAGE)
    rows = _rows(request)
    context: Mapping[str, Any] = {
        **admin.site.each_context(request), "opts": Preset._meta, "title": "On arrival", "rows": rows,
        "may_share": permissions.may_share_presets(user), "operations": _offered(rows),
    }  # fmt: skip
    return TemplateResponse(request, _TEMPLATE, dict(context))


def _rows(request: HttpRequest) -> list[Row]:
    chosen = set(arrivals.chosen_by(request.user.pk or 0).values_list("pk", flat=True))
    usable = permissions.usable_presets(request.user).order_by("owner", "name")
    return [
        Row(
            each, operation_title(each.operation), each.owner_id is None and each.on_arrival, each.pk in chosen,
            presets.trouble(each),
        )
        for each in usable
    ]  # fmt: skip


def _offered(rows: list[Row]) -> list[Operation[Any]]:
    """Operations that can run with their defaults alone, and that no preset for all accounts has yet."""
    taken = {row.preset.operation for row in rows if row.preset.owner_id is None} | {INSPECT}
    return [each for each in operations.registry.values() if each.name not in taken and _has_defaults(each)]


def _has_defaults(operation: Operation[Any]) -> bool:
    try:
        operations.parse(operation, {})
    except WrongParams:
        return False
    return True


def _switch(request: HttpRequest) -> None:
    if name := request.POST.get("operation"):
        _begin(request, operations.get(name))
        return
    user, is_on = account(request), request.POST.get("to") == "on"
    usable = permissions.usable_presets(user)
    preset = get_object_or_404(usable, pk=presets.as_id(request.POST.get("preset", "")))
    if request.POST.get("for") == "all":
        permissions.require_on_preset(user, "change", None)
        if preset.owner_id is None:
            presets.change(preset, on_arrival=is_on)
            _told(request, preset, is_on, "all accounts")
    else:
        same_as_all = preset.owner_id is None and preset.on_arrival == is_on
        arrivals.choose(user, preset, None if same_as_all else is_on)
        _told(request, preset, is_on, "your uploads")


def _begin(request: HttpRequest, operation: Operation[Any]) -> None:
    """One click: save the operation with its defaults as a preset for all accounts that runs on arrival."""
    permissions.require_on_preset(request.user, "add", None)
    preset = presets.save(None, operation.title, operation.name, {}, on_arrival=True)
    _told(request, preset, True, "all accounts")


def _told(request: HttpRequest, preset: Preset, is_on: bool, whose: str) -> None:
    what = f"Switched {'on' if is_on else 'off'} on arrival for {whose}."
    audit_log.record(actor(request), [preset], what)
    messages.success(request, f"{preset.name}: {what.lower()}")
