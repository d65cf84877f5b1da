"""Links to a file for people without an account here, as the API makes them: each ends by itself."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from unfold.widgets import UnfoldAdminSelectWidget

from ..access import policy, signed_links
from .lists.model_admin import RoomAdmin

_LASTING = {
    3600: "an hour",
    signed_links.USUAL: "a day",
    7 * signed_links.USUAL: "a week",
    signed_links.LONGEST: "30 days",
}


class LinkForm(forms.Form):
    lasting = forms.TypedChoiceField(
        label="It works for", coerce=int, choices=list(_LASTING.items()), initial=signed_links.USUAL,
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip


class LinksFiles(RoomAdmin):
    """A page `ID/link/`, where links are made and revoked."""

    def get_urls(self) -> list[Any]:
        link = path("<uuid:pk>/link/", self.admin_site.admin_view(self.link_view), name="uploads_mediafile_link")
        return [link, *super().get_urls()]

    def link_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        file = get_object_or_404(policy.visible_files(request.user), pk=pk)
        policy.require(request.user, "change", file)
        if "revoke" in request.POST:
            with self.acting(request, file, "Revoked every link."):
                signed_links.revoke(file)
                messages.success(request, "No link that was made so far works any more.")
            return redirect("admin:uploads_mediafile_link", file.pk)
        form, link = LinkForm(request.POST or None), None
        if form.is_valid():
            lasting = form.cleaned_data["lasting"]
            with self.acting(request, file, f"Made a link that works for {_LASTING[lasting]}."):
                link = signed_links.make(file, lasting, request)
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "Make a link", "subtitle": file.name,
            "file": file, "form": form, "link": link,
        }  # fmt: skip
        return TemplateResponse(request, "admin/uploads/mediafile/link.html", context)
