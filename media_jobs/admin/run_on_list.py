"""Run an operation on all files of a list, as it is filtered: as a batch, whose page shows how far it is."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from uploads.hooks import FilePage
from uploads.models import MediaFile

from .. import operations, permissions
from ..queue.batches import MOST
from . import preset_forms
from .run_operation import (
    BATCH_PAGE,
    RunForms,
    form_context,
    run_on_selection,
    run_page,
    shown,
    start_batch,
)


def run_on_all(request: HttpRequest, files: QuerySet[MediaFile]) -> HttpResponse:
    """`mediafile/all/run/?FILTERS`. All choices are sent by POST: the address has the filters of the list alone."""
    permissions.require_submit(request.user)
    preset = preset_forms.chosen(request)
    operation = operations.registry.get(request.POST.get("operation") or (preset.operation if preset else ""))
    context: dict[str, Any] = {"is_all": True, "count": files.order_by()[: MOST + 1].count(), "most": MOST}
    if operation is None:
        offered = list(operations.registry.values())
        return shown(
            request, [], {"operations": offered, "presets": preset_forms.offered(request, offered)} | context
        )
    is_sent = "confirmed" in request.POST
    forms = RunForms(request, operation, preset, is_sent=is_sent)
    if "save_preset" in request.POST:
        forms.saved_as_preset(request)
    elif is_sent and forms.are_valid() and (batch := start_batch(request, files, forms)):
        return redirect(BATCH_PAGE, batch.pk)
    return shown(request, [], form_context(request, forms, []) | {"fits": context["count"]} | context)


PAGE = FilePage(
    "run", "Run an operation", "play_circle", run_page, permissions.may_submit, run_on_selection, run_on_all
)
