"""Admin pages of uploads: progress and speed of the running ones, the reason of the failed ones."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from .. import list_search
from ..access import permissions
from ..errors import Forbidden, Gone
from ..list_search import Found
from ..models import Transition, Upload
from ..text.sizes import human_size
from ..transfers.resumable import recovery
from ..transfers.status_text import upload_message, upload_progress
from .lists import bulk_actions, cells
from .lists.csv_export import CsvExportMixin
from .lists.filters import ChoiceFilter, CreatedFilter, OwnerFilter
from .lists.model_admin import LiveAdmin

_WHY = {Forbidden.code: "cannot be ended", Gone.code: "had already ended"}


@admin.register(Upload)
class UploadAdmin(CsvExportMixin, LiveAdmin):
    list_display = ["name", "state_now", "progress_now", "protocol", "owner", "created_at"]
    list_filter = [("state", ChoiceFilter), ("protocol", ChoiceFilter), OwnerFilter, CreatedFilter]
    search_fields = ["name"]
    search_help_text = "Start of name, or the ID"
    sortable_by = ["created_at"]
    list_select_related = ["owner", "direct"]
    ordering = ["-created_at", "-id"]
    actions = ["end_selected"]
    fields = [
        "state_now", "progress_now", "created_file", "error_code", "size", "protocol", "owner", "created_at",
        "finished_at", "expires_at", "idempotency_key", "id_to_copy",
    ]  # fmt: skip
    live_only = ("state", "offset", "declared_size", "speed", "key", "protocol", "error_detail")
    change_form_template = "admin/uploads/upload.html"
    export_values = {
        "state_now": lambda upload: upload.state, "progress_now": upload_message,
        "error": lambda upload: upload.error_code, "bytes": lambda upload: upload.offset,
        "id": lambda upload: upload.pk,
    }  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upload]:
        return permissions.visible_uploads(request.user)

    def find(self, queryset: QuerySet[Upload], text: str) -> Found:
        return list_search.uploads(queryset, text)

    def live_row(self, row: Upload) -> dict[str, Any]:
        return {
            "state": row.state, "label": row.get_state_display(), "active": row.state == Upload.State.RECEIVING,
            "progress": upload_progress(row), "message": upload_message(row),
        }  # fmt: skip

    # Columns and fields

    @admin.display(description="state")
    def state_now(self, upload: Upload) -> SafeString:
        moving = upload.state == Upload.State.RECEIVING
        return cells.state_badge(upload, upload.state, upload.get_state_display(), is_active=moving)

    @admin.display(description="progress")
    def progress_now(self, upload: Upload) -> SafeString:
        return cells.progress_bar(upload, upload_progress(upload), upload_message(upload))

    @admin.display(description="declared size")
    def size(self, upload: Upload) -> str:
        return "unknown" if upload.declared_size is None else human_size(upload.declared_size)

    @admin.display(description="file")
    def created_file(self, upload: Upload) -> SafeString | str:
        if upload.file is None:
            return "–" if upload.finished_at else "not complete yet"
        return cells.link(reverse("admin:uploads_mediafile_change", args=[upload.file.pk]), upload.file.name)

    @admin.display(description="ID")
    def id_to_copy(self, upload: Upload) -> SafeString:
        return cells.copyable(str(upload.pk))

    # Ending an upload

    def get_urls(self) -> list[Any]:
        end = path("<uuid:pk>/end/", self.admin_site.admin_view(self.end_one), name="uploads_upload_end")
        return [end, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        upload = self.get_object(request, unquote(object_id))
        more = {} if upload is None else {
            "timeline": Transition.history("upload", upload.pk),
            "may_end": _is_open(upload) and permissions.may_end(request.user, upload),
        }  # fmt: skip
        return super().change_view(request, object_id, form_url, more | (extra_context or {}))

    @method_decorator(require_POST)
    def end_one(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        upload = get_object_or_404(permissions.visible_uploads(request.user), pk=pk)
        permissions.require_end(request.user, upload)
        with self.audited(request, upload, "Ended."):
            recovery.terminate(upload)
            messages.success(request, "The upload is ended, and its bytes are deleted.")
        return redirect("admin:uploads_upload_change", pk)

    @admin.action(description="End, and delete the received bytes", permissions=["end"])
    def end_selected(self, request: HttpRequest, queryset: QuerySet[Upload]) -> None:
        bulk_actions.apply_to_each(request, queryset, recovery.terminate, "ended", why=_WHY)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("uploads.delete_upload")

    def has_delete_permission(self, request: HttpRequest, obj: Upload | None = None) -> bool:
        return False


def _is_open(upload: Upload) -> bool:
    """Whether it is unfinished and goes on without a request. Other uploads end with theirs."""
    return upload.state == Upload.State.RECEIVING and upload.outlives_requests
