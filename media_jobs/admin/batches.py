"""Admin pages of batches: the list, and a page per batch with its progress, counts, and reasons of skipped files."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from uploads.admin.lists import cells
from uploads.admin.lists.filters import CreatedFilter, OwnerFilter
from uploads.admin.lists.model_admin import LiveAdmin
from uploads.text import client_metadata

from .. import permissions
from ..models import Batch, Job
from ..queue import batches
from ..queue.batches import CANCELLED_NOTE, Counts
from .job_actions import account
from .job_cells import operation_title
from .job_page import in_words
from .operation_filter import OperationFilter

_SKIPPED_FILES = 10  # that the page names for each reason


@admin.register(Batch)
class BatchAdmin(LiveAdmin):
    list_display = ["batch", "state_now", "progress_now", "owner", "created_at"]
    list_filter = [OperationFilter, OwnerFilter, CreatedFilter]
    search_fields = ["operation", "preset"]
    search_help_text = "Operation or preset"
    sortable_by = ["created_at"]
    list_select_related = ["owner"]
    list_per_page = 25
    ordering = ["-created_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        return permissions.visible_batches(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("media_jobs.view_job"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # they go with their jobs

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = _counted(list(page.result_list))
        return page

    def live_rows(self, rows: list[Any]) -> dict[str, dict[str, Any]]:
        return super().live_rows(_counted(rows))

    def live_row(self, row: Any) -> dict[str, Any]:
        return live_row(row.counts)

    @admin.display(description="batch")
    def batch(self, batch: Batch) -> str:
        return f"{title_of(batch)} on {batch.total} file{'' if batch.total == 1 else 's'}"

    @admin.display(description="status")
    def state_now(self, batch: Any) -> SafeString:
        row = live_row(batch.counts)
        return cells.state_badge(batch, row["state"], row["label"], is_active=row["active"])

    @admin.display(description="progress")
    def progress_now(self, batch: Any) -> SafeString:
        return cells.progress_bar(batch, batch.counts.progress, message_of(batch.counts))

    # The page of a batch

    def get_urls(self) -> list[Any]:
        site = self.admin_site.admin_view
        return [
            path("<uuid:pk>/live/", site(self.live_page), name="media_jobs_batch_page_live"),
            path("<uuid:pk>/cancel/", site(self.cancel_all), name="media_jobs_batch_cancel"),
            path("<uuid:pk>/retry/", site(self.retry_failed), name="media_jobs_batch_retry"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a batch with its actions. A batch cannot be edited."""
        batch = self.get_object(request, object_id)
        if request.method == "POST" or batch is None or not self.has_view_permission(request):
            raise PermissionDenied
        found = batches.counts_of(batch)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "batch": batch, "title": self.batch(batch),
            "name": title_of(batch), "row": live_row(found), "counts": found, "skipped": _skipped(batch, found),
            "other_skipped": found.skipped - sum(each.count for each in found.reasons),
            "statuses": _statuses(batch, found),
            "parameters": [(name, in_words(value)) for name, value in batch.params.items()],
            "metadata": client_metadata.in_words(batch.metadata),
            "may_change": permissions.may(account(request), "change", batch),
        }  # fmt: skip
        return TemplateResponse(request, "admin/media_jobs/batch.html", context)

    def live_page(self, request: HttpRequest, pk: Any) -> JsonResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        batch = get_object_or_404(permissions.visible_batches(request.user), pk=pk)
        return JsonResponse({"rows": self.live_rows([batch]), "new": 0}, headers={"Cache-Control": "no-store"})

    @method_decorator(require_POST)
    def cancel_all(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        return self._act(request, pk, batches.cancel, "Cancelled", "The jobs of the batch are being cancelled.")

    @method_decorator(require_POST)
    def retry_failed(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        return self._act(request, pk, batches.retry, "Retried the failed jobs", "The failed jobs are queued again.")

    def _act(
        self, request: HttpRequest, pk: Any, verb: Callable[[Batch], None], action: str, message: str
    ) -> HttpResponseBase:
        batch = get_object_or_404(permissions.visible_batches(request.user), pk=pk)
        permissions.require(account(request), "change", batch)
        with self.audited(request, batch, f"{action}."):
            verb(batch)
            messages.success(request, message)
        return redirect("admin:media_jobs_batch_change", pk)


def _counted(rows: list[Any]) -> list[Any]:
    found = batches.counts(rows)
    for batch in rows:
        batch.counts = found[batch.pk]
    return rows


def title_of(batch: Batch) -> str:
    return batch.preset or operation_title(batch.operation)


def live_row(found: Counts) -> dict[str, Any]:
    """The values that live.js updates, on the list and on the page."""
    state, label = _state(found)
    return {
        "state": state, "label": label, "active": not found.is_finished, "progress": round(found.progress, 4),
        "message": message_of(found), "waiting": found.waiting, "skipped": found.skipped, "deleted": found.deleted,
        **found.jobs,
    }  # fmt: skip


def _state(found: Counts) -> tuple[str, str]:
    """The colour and the words."""
    if not found.is_finished:
        return "running", "in progress"
    if found.jobs[Job.Status.FAILED]:
        return "failed", "ended, with failures"
    was_cancelled = found.jobs[Job.Status.CANCELLED] or any(each.reason == CANCELLED_NOTE for each in found.reasons)
    if found.jobs[Job.Status.SUCCEEDED]:
        return "succeeded", "ended, partly cancelled" if was_cancelled else "ended"
    return "cancelled", "cancelled" if was_cancelled else "nothing done"


def message_of(found: Counts) -> str:
    ended = sum(found.jobs[status] for status in found.jobs if status not in Job.UNFINISHED)
    jobs = found.waiting + sum(found.jobs.values())
    parts = [f"{ended:,} of {jobs:,} job{'' if jobs == 1 else 's'} ended" if jobs else "No jobs"]
    parts += [f"{number:,} {word}" for word, number in (
        ("failed", found.jobs[Job.Status.FAILED]), ("cancelled", found.jobs[Job.Status.CANCELLED]),
        ("to be submitted", found.waiting), (_files("skipped", found.skipped), found.skipped),
        (_files("deleted", found.deleted), found.deleted),
    ) if number]  # fmt: skip
    return ", ".join(parts)


def _files(word: str, number: int) -> str:
    return f"{'file' if number == 1 else 'files'} {word}"


def _skipped(batch: Batch, found: Counts) -> list[dict[str, Any]]:
    """The reasons, each with the first files that it is about."""
    rows = []
    for each in found.reasons:
        items = batch.items.filter(note=each.reason).select_related("file").order_by("number")[:_SKIPPED_FILES]
        files = [item.file for item in items]
        rows.append({"reason": each.reason, "count": each.count, "files": files, "more": each.count - len(files)})
    return rows


def _statuses(batch: Batch, found: Counts) -> list[tuple[str, str, int, str]]:
    """Name, label and number of the jobs of each status, and the list of these jobs."""
    jobs = reverse("admin:media_jobs_job_changelist")
    shown = [status for status in Job.Status if status != Job.Status.UPLOADING]
    return [
        (str(status), str(status.label), found.jobs[status], f"{jobs}?batch={batch.pk}&status__exact={status}")
        for status in shown
    ]
