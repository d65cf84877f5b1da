"""Deleting files: one or many, after showing what else goes, and which of them have to stay."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from .. import hooks
from ..access import policy
from ..models import MediaFile
from ..storage.blobs import delete_file
from .lists.bulk_actions import at_most
from .lists.model_admin import RoomAdmin

LIST = "admin:uploads_mediafile_changelist"


class DeletesFiles(RoomAdmin):
    """The confirmation lists everything; each file goes by the delete verb, whose refusals become messages."""

    def has_delete_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or policy.may(request.user, "delete", obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in found:
            found["delete_selected"] = (type(self).delete_chosen, "delete_selected", "Delete")
        return found

    @admin.action(description="Delete", permissions=["delete"])
    def delete_chosen(self, request: HttpRequest, queryset: QuerySet[MediaFile]) -> HttpResponse | None:
        files = at_most(request, queryset)
        if files is None:
            return None
        if "confirmed" not in request.POST:
            return self._preview(request, files)
        self._delete(request, files)
        return None

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        file = self.get_object(request, object_id)
        if not self.has_delete_permission(request, file):
            raise PermissionDenied
        if file is None:
            return HttpResponseRedirect(reverse(LIST))
        if request.method != "POST":
            return self._preview(request, [file])
        if self._delete(request, [file]):
            return redirect(LIST)
        return redirect("admin:uploads_mediafile_change", file.pk)

    def _delete(self, request: HttpRequest, files: list[MediaFile]) -> int:
        for file in files:
            policy.require(request.user, "delete", file)
        gone = 0
        for file in files:
            with self.acting(request, file, "Deleted."):
                gone += delete_file(file)
        if gone:
            messages.success(request, f"Deleted {gone} file{'' if gone == 1 else 's'}.")
        return gone

    def _preview(self, request: HttpRequest, files: list[MediaFile]) -> HttpResponse:
        told = [(file, _going(file)) for file in files]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Delete {files[0].name}" if len(files) == 1 else f"Delete {len(files)} files",
            "going": [(file, also) for file, (also, kept) in told if not kept],
            "staying": [(file, kept) for file, (also, kept) in told if kept],
            "files": files,
            "is_selection": request.method == "POST",
        }
        return TemplateResponse(request, "admin/uploads/mediafile/delete.html", context)


def _going(file: MediaFile) -> tuple[list[str], str]:
    told = [ask(file) for ask in hooks.file_going]
    also = [words for going in told for words in going.also]
    return also, " ".join(going.kept for going in told if going.kept)
