"""Admin pages of workers: their state, current job and sandbox."""

from typing import Any

from django.contrib import admin
from django.db.models import Case, Prefetch, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from uploads.admin.lists import cells
from uploads.admin.lists.model_admin import LiveAdmin
from uploads.text.times import human_time

from ..models import Job, Worker
from ..queue import plugin_reports
from ..worker.process_table import process_troubles


@admin.register(Worker)
class WorkerAdmin(LiveAdmin):
    list_display = ["lane", "state_now", "doing", "host", "process_id", "ffmpeg_build", "extras", "sandbox", "seen"]
    fields = [
        "lane",
        "host",
        "process_id",
        "state_now",
        "doing",
        "ffmpeg_build",
        "extras",
        "sandbox",
        "started_at",
        "seen",
    ]
    readonly_fields = ["process_id", "state_now", "doing", "ffmpeg_build", "extras", "sandbox", "started_at", "seen"]
    ordering = ["-seen_at"]
    list_before_template = "admin/media_jobs/process_troubles.html"
    live_since = "started_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        """Whether a worker is alive is decided by the database's clock, which also wrote `seen_at`."""
        running = Job.with_children.filter(status=Job.Status.RUNNING).select_related("file").defer("log", "command")
        alive = Case(When(pk__in=Worker.live().values("pk"), then=Value(True)), default=Value(False))
        workers: QuerySet[Worker] = super().get_queryset(request)
        return workers.annotate(alive=alive).prefetch_related(Prefetch("jobs", running, to_attr="running"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(
            request, {"process_troubles": [*process_troubles(), *plugin_reports.troubles()]} | (extra_context or {})
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def live_row(self, row: Any) -> dict[str, Any]:
        """Active while the worker is alive."""
        state, label = _state(row)
        doing, url = _doing(row)
        return {
            "state": state, "label": label, "active": row.alive, "doing": doing, "doing_url": url, "seen": _seen(row),
        }  # fmt: skip

    @admin.display(description="state")
    def state_now(self, worker: Any) -> SafeString:
        return cells.state_badge(worker, *_state(worker), is_active=worker.alive)

    @admin.display(description="current job")
    def doing(self, worker: Any) -> SafeString:
        return cells.live_link(worker, "doing", *_doing(worker))

    @admin.display(description="process ID")
    def process_id(self, worker: Worker) -> int:
        return worker.pid

    @admin.display(description="FFmpeg")
    def ffmpeg_build(self, worker: Worker) -> str:
        return worker.build

    @admin.display(description="sandbox")
    def sandbox(self, worker: Worker) -> SafeString:
        """The layers of the sandbox, including those that are not available."""
        layers = worker.layers.get("layers", [])
        items = [
            ("yes" if layer["holds"] else "no", layer["why"], "✓" if layer["holds"] else "✗", layer["name"])
            for layer in layers
        ]
        listed = format_html_join("", '<li data-holds="{}" title="{}">{} {}</li>', items)
        return format_html('<ul class="mr-layers">{}</ul>', listed)

    @admin.display(description="last seen")
    def seen(self, worker: Worker) -> SafeString:
        return cells.live_text(worker, "seen", _seen(worker))


def _state(worker: Any) -> tuple[str, str]:
    return (worker.state, worker.get_state_display()) if worker.alive else ("missing", "lost")


def _doing(worker: Any) -> tuple[str, str]:
    """The text and the link of the current job."""
    if not worker.running:
        return "–", ""
    job = worker.running[0]
    part = f", part {job.number + 1}" if job.parent_id else ""
    words = f"{job.operation}{part}: {job.file.name if job.file else 'deleted file'}"
    return words, reverse("admin:media_jobs_job_change", args=[job.parent_id or job.pk])


def _seen(worker: Worker) -> str:
    return f"{human_time(max(0.0, (timezone.now() - worker.seen_at).total_seconds()))} ago"
