"""The upload form: a plain form, read by the streaming upload handler; with Uppy where npm installed it."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from .. import hooks
from ..access import permissions
from ..conf import limits
from ..errors import Forbidden, InvalidParams, MissingFile
from ..http.upload_handler import FILE_FIELD, ReceivedFile, checked_form_entrance
from ..models import MediaFile
from ..storage.stores import takes_direct_uploads
from ..text.sizes import human_size
from ..transfers.quota import limits_of

_UPPY = "uppy/uppy.min.mjs"


def _check_sender(request: HttpRequest, owner: User, fields: QueryDict) -> None:
    """Accept a file only from the account that is signed in to the admin. Programs use the API."""
    if owner.pk != request.user.pk or not admin.site.has_permission(request):
        raise Forbidden("Sign in to the admin as the account that uploads the file, or upload it to /api/v1/files/.")
    if "Idempotency-Key" in request.headers:
        raise InvalidParams("The admin does not support Idempotency-Key. Upload to /api/v1/files/ instead.")


class UploadFormMixin:
    """For the admin of MediaFile: adding a file means uploading it."""

    opts: Any
    admin_site: Any
    log_addition: Any
    message_user: Any
    show_add_link = False  # the list has an Upload button instead

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return permissions.may_upload(request.user)

    @checked_form_entrance(_check_sender)
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        permissions.require_upload(request.user)
        if request.method == "POST":
            file = _received(request)
            self.log_addition(request, file, "Uploaded.")
            self.message_user(request, f"“{file.name}” was uploaded.")
            return HttpResponseRedirect(reverse("admin:uploads_mediafile_change", args=[file.pk]))
        largest = limits_of(request.user.pk or 0).largest
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Upload files",
            "max_file_size": "" if largest is None else human_size(largest),
            "accepted_types": sorted(limits().accept or ()),
            "direct": takes_direct_uploads(),
            "options": [option for ask in hooks.arrival_options for option in ask(request.user)],
            "uppy": _UPPY if finders.find(_UPPY) else "",
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/uploads/mediafile/upload.html", context)


def _received(request: HttpRequest) -> MediaFile:
    received = request.FILES.get(FILE_FIELD)
    if not isinstance(received, ReceivedFile):
        raise MissingFile("Choose a file first.")
    return received.reception.commit()
