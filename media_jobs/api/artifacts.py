"""jobs/ID/artifacts/NAME: what a job made, by its name."""

from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from uploads.access.authentication import Scopes
from uploads.api.download import content_response
from uploads.scopes import Scope

from .. import policy


class ArtifactView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: str, name: str) -> HttpResponseBase:
        """The bytes of what a job made. Understands Range, If-Range and conditional requests."""
        if "\0" in name:  # which PostgreSQL cannot even look for
            raise Http404
        job = get_object_or_404(policy.visible_jobs(request.user), pk=pk)
        made = get_object_or_404(policy.visible_artifacts(request.user, job), name=name)
        return content_response(request._request, made.file)
