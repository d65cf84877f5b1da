"""Run an operation on one file, from its page, or on selected files, from the list. It can start from a preset."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from uploads import audit_log
from uploads.admin.lists.bulk_actions import actor, selected_rows
from uploads.errors import Refusal
from uploads.models import MediaFile
from uploads.text.client_metadata import Metadata, read_metadata

from .. import operations, permissions
from ..errors import WrongParams
from ..models import Batch, Job, Preset
from ..operations.base import Operation, canonical
from ..queue import batches
from ..queue.batch_chores import submit_some
from ..queue.submission import parse_request, submit
from . import preset_forms
from .clip_list import clips_of, offered_files, takes_clips
from .job_actions import account
from .parameter_forms import ParamsForm
from .preset_forms import PresetForm

_TEMPLATE = "admin/media_jobs/file/run.html"
BATCH_PAGE = "admin:media_jobs_batch_change"


class JobForm(forms.Form):
    """What a job has besides the parameters of its operation."""

    priority = forms.IntegerField(
        min_value=permissions.LOWEST,
        max_value=permissions.HIGHEST,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=f"From {permissions.LOWEST} to {permissions.HIGHEST}. Jobs with a higher priority run first.",
    )
    metadata = forms.CharField(
        label="Metadata of the job",  # some operations have a parameter called metadata
        required=False,
        widget=UnfoldAdminTextInputWidget({"spellcheck": "false"}),
        help_text='A small JSON object of your own, such as {"case": 7}, which comes back with the job.',
    )

    def clean_metadata(self) -> Metadata | None:
        try:
            return read_metadata(self.cleaned_data["metadata"])
        except Refusal as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


def run_page(request: HttpRequest, file: MediaFile) -> HttpResponse:
    """`mediafile/ID/run/?operation=NAME`. With `&job=ID`, the form has the parameters of that job; with `?preset=ID`,
    those of that preset.
    """
    permissions.require_submit(request.user)
    before = preset_forms.chosen(request) or _earlier(request)
    operation = operations.registry.get(request.GET.get("operation") or (before.operation if before else ""))
    offered = [each for each in operations.registry.values() if file.blob.kind in each.kinds]
    if operation is None:
        return _choice(request, [file], offered)
    forms = RunForms(request, operation, before)
    if "save_preset" in request.POST:
        if preset := forms.saved_as_preset(request):
            return redirect(f"{request.path}?{urlencode({'preset': preset.pk})}")
    elif request.method == "POST" and forms.are_valid():
        done = _submit(request, file, forms, forms.order(file))
        if done is not None:
            return done
    return _form(request, [file], forms, skipped=[file] if operation not in offered else [])


def run_on_selection(request: HttpRequest, queryset: QuerySet[MediaFile]) -> HttpResponse | None:
    """The action on selected files: choose an operation, enter its parameters, submit a batch of a job per file.

    An operation on clips makes one job instead: the files are its clips, in the order of the list.
    """
    permissions.require_submit(request.user)
    files = selected_rows(request, queryset)
    if files is None:
        return None
    preset = preset_forms.chosen(request)
    operation = operations.registry.get(request.POST.get("operation") or (preset.operation if preset else ""))
    if operation is None:
        kinds = {file.blob.kind for file in files}
        return _choice(request, files, [each for each in operations.registry.values() if kinds & each.kinds])
    skipped = [file for file in files if file.blob.kind not in operation.kinds]
    fitting = [file for file in files if file not in skipped]
    clips = clips_of(fitting) if takes_clips(operation) else None
    forms = RunForms(request, operation, preset, is_sent="confirmed" in request.POST, clips=clips)
    if "save_preset" in request.POST:
        forms.saved_as_preset(request)
        return _form(request, files, forms, skipped)
    if not ("confirmed" in request.POST and forms.are_valid()):
        return _form(request, files, forms, skipped)
    if clips:
        done = _submit_joined(request, fitting, forms)
    else:
        done = _submit_batch(request, fitting, forms)
        if skipped:
            messages.warning(request, _skipping(operation, skipped))
    return done or _form(request, files, forms, skipped)


def _submit_joined(request: HttpRequest, files: Sequence[MediaFile], forms: "RunForms") -> HttpResponse | None:
    """Submit one job. In its clips, numbers stand for the selected files, if no file is named by its id."""
    order = forms.order()
    if not forms.operation.file_ids(forms.params.parsed):
        order |= {"file": files[0].pk, "inputs": [file.pk for file in files[1:]]}
    return _submit(request, files[0], forms, order)


def _submit_batch(request: HttpRequest, files: Sequence[MediaFile], forms: "RunForms") -> HttpResponse | None:
    chosen = permissions.usable_files(request.user).filter(pk__in=[file.pk for file in files])
    batch = start_batch(request, chosen, forms)
    return None if batch is None else redirect(BATCH_PAGE, batch.pk)


def start_batch(request: HttpRequest, files: QuerySet[MediaFile], forms: "RunForms") -> Batch | None:
    """Create a batch, and submit the first jobs at once. None if it was refused: a message gives the reason."""
    try:
        batch, _ = batches.create(parse_request(request.user, forms.order(), comes_later=True), files)
    except Refusal as refusal:
        messages.error(request, refusal.detail)
        return None
    audit_log.record(actor(request), [batch], "Submitted.", audit_log.ADDITION)
    submit_some(batch)
    return batch


class RunForms:
    def __init__(
        self,
        request: HttpRequest,
        operation: Operation[Any],
        before: Job | Preset | None,
        is_sent: bool = True,
        clips: list[dict[str, Any]] | None = None,
    ) -> None:
        """`clips`: what the form begins with instead of those of the preset."""
        data = request.POST if request.method == "POST" and is_sent else None
        same = before is not None and before.operation == operation.name
        self.operation = operation
        self.preset = before if isinstance(before, Preset) and same else None
        params = _params_of(operation, before) if before and same else {}
        self.params = ParamsForm(operation, data, params if clips is None else {**params, "clips": clips})
        self.job = JobForm(data)
        self.save = PresetForm(account(request), data if "save_preset" in request.POST else None)

    def are_valid(self) -> bool:
        return self.params.is_valid() & self.job.is_valid()

    def saved_as_preset(self, request: HttpRequest) -> Preset | None:
        if not self.params.is_valid() & self.save.is_valid():
            return None
        return self.save.save(request, self.operation, self.params)

    def order(self, file: MediaFile | None = None) -> dict[str, Any]:
        """The request for a job, in the form of a JobOrder."""
        main = {} if file is None else {"file": file.pk}
        return {"inputs": [], **main, **self.job.cleaned_data, **self.work()}

    def work(self) -> dict[str, Any]:
        """The preset, if the parameters are still those of the preset that the form started from."""
        if self.preset is not None and preset_forms.is_unchanged(self.preset, self.params):
            return {"preset": str(self.preset.pk)}
        return {"operation": self.operation.name, "params": self.params.params}


def _params_of(operation: Operation[Any], before: Job | Preset) -> dict[str, Any]:
    """Its parameters. In those of a job, ids replace the numbers of its files, which are only its own."""
    params: dict[str, Any] = before.params
    if isinstance(before, Preset) or not operation.max_inputs:
        return params
    files = [before.file_id, *before.inputs.order_by("number").values_list("file_id", flat=True)]
    names: dict[int | UUID, int | UUID] = {number: pk for number, pk in enumerate(files) if pk is not None}
    with suppress(WrongParams):  # of an earlier version
        return canonical(operation.with_files(operations.parse(operation, params), names))
    return params


def _submit(request: HttpRequest, file: MediaFile, forms: RunForms, order: dict[str, Any]) -> HttpResponse | None:
    """Submit a job. None if it was refused: a message gives the reason, and the form keeps its values."""
    with _files().audited(request, file, f"Submitted the job {forms.operation.name} with {forms.params.params}."):
        job, _ = submit(parse_request(request.user, order))
        messages.success(request, f"{forms.operation.title}: the job is {job.get_status_display()}.")
        return redirect("admin:media_jobs_job_change", job.pk)
    return None


def _files() -> Any:
    return admin.site.get_model_admin(MediaFile)


def _earlier(request: HttpRequest) -> Job | None:
    try:
        pk = UUID(request.GET.get("job", ""))
    except ValueError:
        return None
    return permissions.visible_jobs(request.user).filter(pk=pk).first()


def _skipping(operation: Operation[Any], files: Sequence[MediaFile]) -> str:
    """Say which files are skipped; name the first ten."""
    names = ", ".join(f"{file.name} ({file.blob.kind or 'unknown type'})" for file in files[:10])
    more = f" and {len(files) - 10} more" if len(files) > 10 else ""
    kinds = " and ".join(sorted(operation.kinds))
    if takes_clips(operation):
        return f"Only {kinds} files can be clips. Not among them: {names}{more}."
    return f"“{operation.name}” works only on {kinds}. Skipped: {names}{more}."


def _choice(request: HttpRequest, files: Sequence[MediaFile], offered: Sequence[Operation[Any]]) -> HttpResponse:
    return shown(request, files, {"operations": offered, "presets": preset_forms.offered(request, offered)})


def _form(
    request: HttpRequest, files: Sequence[MediaFile], forms: RunForms, skipped: Sequence[MediaFile]
) -> HttpResponse:
    context = {
        "skipping": _skipping(forms.operation, skipped) if skipped else "",
        "fits": len(files) - len(skipped),
        "is_one_job": takes_clips(forms.operation),
    }
    return shown(request, files, form_context(request, forms, files) | context)


def form_context(request: HttpRequest, forms: RunForms, files: Sequence[MediaFile]) -> dict[str, Any]:
    """What the form shows: of the operation, and the files that it may name."""
    return {
        "operation": forms.operation,
        "forms": [forms.params, forms.job],
        "preset": forms.preset,
        "presets": preset_forms.offered(request, [forms.operation]),
        "save_form": forms.save if permissions.may_on_preset(request.user, "add", request.user.pk) else None,
        "is_saving": "save_preset" in request.POST,
        **offered_files(request.user, forms.operation, files),
    }


def shown(request: HttpRequest, files: Sequence[MediaFile], context: dict[str, Any]) -> HttpResponse:
    is_selection = (
        request.method == "POST" and request.resolver_match is not None and not request.resolver_match.kwargs
    )
    context = {
        "count": len(files),
        **context,
        **admin.site.each_context(request),
        "opts": MediaFile._meta,
        "title": "Run an operation",
        "files": files,
        "is_selection": is_selection,
    }
    return TemplateResponse(request, _TEMPLATE, context)
