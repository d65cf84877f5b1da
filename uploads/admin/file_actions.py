"""Delete files, after a confirmation that lists everything that will be deleted; and create links to them."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.widgets import UnfoldAdminSelectWidget

from .. import hooks
from ..access import permissions, signed_links
from ..models import MediaFile
from ..storage.files import delete_file
from .lists.bulk_actions import selected_rows
from .lists.model_admin import ReadOnlyAdmin

LIST = "admin:uploads_mediafile_changelist"
_DURATIONS = {
    3600: "1 hour",
    signed_links.DEFAULT_SECONDS: "1 day",
    7 * signed_links.DEFAULT_SECONDS: "7 days",
    signed_links.MAX_SECONDS: "30 days",
}


class FileDeletionMixin(ReadOnlyAdmin):
    """Delete files one by one, so that each refusal becomes a message."""

    def has_delete_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or permissions.may(request.user, "delete", obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in found:
            found["delete_selected"] = (type(self).delete_selected_files, "delete_selected", "Delete")
        return found

    @admin.action(description="Delete", permissions=["delete"])
    def delete_selected_files(self, request: HttpRequest, queryset: QuerySet[MediaFile]) -> HttpResponse | None:
        files = selected_rows(request, queryset)
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
            permissions.require(request.user, "delete", file)
        gone = 0
        for file in files:
            with self.audited(request, file, "Deleted."):
                gone += delete_file(file)
        if gone:
            messages.success(request, f"Deleted {gone} file{'' if gone == 1 else 's'}.")
        return gone

    def _preview(self, request: HttpRequest, files: list[MediaFile]) -> HttpResponse:
        consequences = [(file, _consequences(file)) for file in files]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Delete {files[0].name}" if len(files) == 1 else f"Delete {len(files)} files",
            "deleted": [(file, also) for file, (also, kept) in consequences if not kept],
            "kept": [(file, kept) for file, (also, kept) in consequences if kept],
            "files": files,
            "is_selection": request.method == "POST",
        }
        return TemplateResponse(request, "admin/uploads/mediafile/delete.html", context)


def _consequences(file: MediaFile) -> tuple[list[str], str]:
    """What would be deleted with the file, or why it cannot be deleted."""
    answers = [hook(file) for hook in hooks.file_deletion_previews]
    also = [text for answer in answers for text in answer.also]
    return also, " ".join(answer.kept for answer in answers if answer.kept)


class LinkForm(forms.Form):
    duration = forms.TypedChoiceField(
        label="Valid for", coerce=int, choices=list(_DURATIONS.items()), initial=signed_links.DEFAULT_SECONDS,
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip


class FileLinksMixin(ReadOnlyAdmin):
    """The page `ID/link/`, which creates and revokes links to a file."""

    def get_urls(self) -> list[Any]:
        link = path("<uuid:pk>/link/", self.admin_site.admin_view(self.link_view), name="uploads_mediafile_link")
        return [link, *super().get_urls()]

    def link_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        file = get_object_or_404(permissions.visible_files(request.user), pk=pk)
        permissions.require(request.user, "change", file)
        if "revoke" in request.POST:
            with self.audited(request, file, "Revoked all links."):
                signed_links.revoke(file)
                messages.success(request, "All links to this file are revoked.")
            return redirect("admin:uploads_mediafile_link", file.pk)
        form, link = LinkForm(request.POST or None), None
        if form.is_valid():
            duration = form.cleaned_data["duration"]
            with self.audited(request, file, f"Created a link that is valid for {_DURATIONS[duration]}."):
                link = signed_links.make(file, duration, request)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "Create a link",
            "subtitle": file.name, "file": file, "form": form, "link": link,
        }  # fmt: skip
        return TemplateResponse(request, "admin/uploads/mediafile/link.html", context)
