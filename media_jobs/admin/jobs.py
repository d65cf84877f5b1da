"""Admin pages of jobs: the list, a page per job, and actions to cancel, retry and delete."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import RadioFilter, TextFilter

from uploads.admin.lists import cells
from uploads.admin.lists.bulk_actions import selected_rows
from uploads.admin.lists.csv_export import CsvExportMixin
from uploads.admin.lists.filters import ChoiceFilter, CreatedFilter, OwnerFilter
from uploads.admin.lists.model_admin import LiveAdmin
from uploads.admin.lists.query_strings import can_be
from uploads.errors import Refusal
from uploads.list_search import Found

from .. import list_search, permissions
from ..models import Batch, Job
from ..operations.base import LANES
from ..queue import cancel_and_retry
from ..queue.deletion import delete_job
from . import job_actions, job_cells, job_page
from .job_actions import Removal
from .operation_filter import OperationFilter


class LaneFilter(RadioFilter):  # type: ignore[misc]
    title = "lane"
    parameter_name = "lane"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in LANES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(lane=self.value()) if self.value() else queryset


class BatchFilter(TextFilter):  # type: ignore[misc]
    title = "batch (its ID)"
    parameter_name = "batch"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").strip()
        if not text:
            return queryset
        return queryset.filter(batch=text) if can_be(Batch._meta.pk, text) else queryset.none()


@admin.register(Job)
class JobAdmin(CsvExportMixin, LiveAdmin):
    list_display = [
        "job", "status_now", "progress_now", "speed_now", "left_now", "owner", "created_at", "duration",
    ]  # fmt: skip
    list_filter = [("status", ChoiceFilter), OperationFilter, LaneFilter, OwnerFilter, CreatedFilter, BatchFilter]
    search_fields = ["operation"]
    search_help_text = "Start of file name, operation, or the ID"
    sortable_by = ["created_at"]
    list_select_related = ["owner", "file", "upload"]
    ordering = ["-created_at", "-id"]
    actions = ["cancel_selected", "retry_selected", "delete_selected"]
    export_values = {
        "job": job_cells.title, "status_now": lambda job: job.status, "progress_now": job_cells.progress,
        "speed_now": lambda job: job.speed, "left_now": None, "duration": job_cells.duration_seconds,
        "file": job_cells.subject,
        "message": lambda job: job_cells.status_message(job, None), "error": lambda job: job.error_code,
        "id": lambda job: job.pk,
    }  # fmt: skip

    live_only = (
        "status", "progress", "message", "speed", "eta_seconds", "started_at", "finished_at", "cancel_asked", "lane",
        "leader", "not_before", "upload", "endpoint",
    )  # fmt: skip

    def find(self, queryset: QuerySet[Job], text: str) -> Found:
        return list_search.jobs(queryset, text)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        # Commands and logs of a hundred jobs can be megabytes.
        return permissions.visible_jobs(request.user).select_related("file").defer("command", "log")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        waits = job_cells.waiting_reasons(page.result_list)
        for job in page.result_list:
            job.waiting_reason = waits.get(job.pk)
        return page

    def live_row(self, row: Any) -> dict[str, Any]:
        return {
            "state": row.status, "label": row.get_status_display(), "active": not row.is_finished,
            "progress": job_cells.progress(row), "message": job_cells.status_message(row, row.waiting_reason),
            "speed": job_cells.speed(row), "left": job_cells.left(row), "duration": job_cells.duration(row),
        }  # fmt: skip

    def live_rows(self, rows: list[Any]) -> dict[str, dict[str, Any]]:
        prefetch_related_objects([job for job in rows if job.status == Job.Status.UPLOADING], "upload")
        waits = job_cells.waiting_reasons(rows)
        for job in rows:
            job.waiting_reason = waits.get(job.pk)
        return super().live_rows(rows)

    # Columns

    @admin.display(description="job")
    def job(self, job: Job) -> SafeString:
        return format_html(
            '<span class="mr-job">{}</span><span class="mr-subject">{}</span>',
            job_cells.title(job),
            job_cells.subject(job),
        )

    @admin.display(description="status", ordering="status")
    def status_now(self, job: Job) -> SafeString:
        return cells.state_badge(job, job.status, job.get_status_display(), is_active=not job.is_finished)

    @admin.display(description="progress")
    def progress_now(self, job: Any) -> SafeString:
        return cells.progress_bar(
            job, job_cells.progress(job), job_cells.status_message(job, getattr(job, "waiting_reason", None))
        )

    @admin.display(description="speed")
    def speed_now(self, job: Job) -> SafeString:
        return cells.live_text(job, "speed", job_cells.speed(job))

    @admin.display(description="time left")
    def left_now(self, job: Job) -> SafeString:
        return cells.live_text(job, "left", job_cells.left(job))

    @admin.display(description="duration")
    def duration(self, job: Job) -> SafeString:
        return cells.live_text(job, "duration", job_cells.duration(job))

    # The page of a job

    def get_urls(self) -> list[Any]:
        site = self.admin_site.admin_view
        return [
            path("<uuid:pk>/live/", site(self.live_page), name="media_jobs_job_page_live"),
            path("<uuid:pk>/cancel/", site(self.cancel_one), name="media_jobs_job_cancel"),
            path("<uuid:pk>/retry/", site(self.retry_one), name="media_jobs_job_retry"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a job with its actions. A job cannot be edited."""
        if request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        job = self.get_object(request, unquote(object_id))
        if job is None:
            gone: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return gone
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(
            request, "admin/media_jobs/job.html", context | job_page.context(request, job) | (extra_context or {})
        )

    def live_page(self, request: HttpRequest, pk: Any) -> JsonResponse:
        """`live_row` of one job, with the command, the log and the number of timeline entries."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = get_object_or_404(permissions.visible_jobs(request.user), pk=pk)
        rows = self.live_rows([job])
        rows[str(pk)] |= job_page.live(job)
        return JsonResponse({"rows": rows, "new": 0}, headers={"Cache-Control": "no-store"})

    @method_decorator(require_POST)
    def cancel_one(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        return self._act(request, pk, cancel_and_retry.cancel, "Cancelled", "The job stops within two seconds.")

    @method_decorator(require_POST)
    def retry_one(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        return self._act(request, pk, cancel_and_retry.retry, "Queued again", "The job is queued again.")

    def _act(self, request: HttpRequest, pk: Any, verb: Any, action: str, message: str) -> HttpResponseBase:
        job = get_object_or_404(permissions.visible_jobs(request.user), pk=pk)
        permissions.require(job_actions.account(request), "change", job)
        with self.audited(request, job, f"{action}."):
            verb(job)
            messages.success(request, message)
        return redirect("admin:media_jobs_job_change", pk)

    # Actions on selected jobs

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return permissions.may(job_actions.account(request), "change", Job())

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return permissions.may(job_actions.account(request), "delete", obj or Job())

    @admin.action(description="Cancel", permissions=["steer"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        job_actions.cancel(request, queryset)

    @admin.action(description="Retry", permissions=["steer"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        job_actions.run_again(request, queryset)

    @admin.action(description="Delete with artifacts", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        if request.POST.get("post"):
            job_actions.delete(request, queryset)
            return None
        jobs = selected_rows(request, queryset)
        if jobs is None:
            return None
        removal = Removal.of(jobs)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "media": self.media, "title": "Delete jobs",
            "removal": removal, "chosen": jobs, "unfinished": len(jobs) - len(removal.jobs),
        }  # fmt: skip
        return TemplateResponse(request, "admin/media_jobs/delete_jobs.html", context)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What `delete_job` deletes, which includes the artifacts, instead of what the database would cascade to."""
        removal = Removal.of(objs)
        return removal.names, removal.counts, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        try:
            answer: HttpResponseBase = super().delete_view(request, object_id, extra_context)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
            return redirect("admin:media_jobs_job_change", object_id)
        return answer

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        delete_job(obj, approve=permissions.file_deletion(job_actions.account(request)))
