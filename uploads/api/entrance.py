"""What the views that take files have in common."""

import sys
from typing import Any

from django.http import HttpRequest
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from ..errors import Refusal
from ..http.body import is_chunked
from ..models import MediaFile
from ..transfers.admission import Replay
from .serializers import FileSerializer


class EntranceMixin:
    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Django and DRF take a body without a Content-Length for no body, and would not call our handler. It
        # reads the wire itself and knows a chunked body when it sees one, so any length but zero will do.
        if is_chunked(request.META) and not request.META.get("CONTENT_LENGTH"):
            request.META["CONTENT_LENGTH"] = str(sys.maxsize)
        drf_request: Request = super().initialize_request(request, *args, **kwargs)  # type: ignore[misc]
        return drf_request

    def handle_exception(self, error: Exception) -> Response:
        # Whoever asked first for a field of the form came upon it: the view, or the CSRF check before it.
        if isinstance(error, Replay):
            request: Request = self.request  # type: ignore[attr-defined]  # the view's
            try:
                return created(request, error.answer(), replayed=True)
            except Refusal as refusal:
                error = refusal
        response: Response = super().handle_exception(error)  # type: ignore[misc]
        return response


def created(request: Request, file: MediaFile, *, replayed: bool = False) -> Response:
    """201 and the file. A replay answers the same, and says that it is one."""
    data = FileSerializer(file, context={"request": request}).data
    headers = {"Location": data["urls"]["self"]}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(data, status=status.HTTP_201_CREATED, headers=headers)
