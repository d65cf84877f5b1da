"""What the API says about itself: its entrances at /api/v1/, and its OpenAPI document."""

import threading
from functools import cache
from hashlib import sha256
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.encoding import force_bytes
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

# The names of their URL patterns. Addresses with an id or a name are found from these.
ENTRANCES = {
    "files": "file-list", "uploads": "upload-list", "direct_uploads": "direct-list", "jobs": "job-list",
    "batches": "batch-list", "presets": "preset-list", "search": "search",
    "operations": "operations", "tokens": "token-list",
    "me": "me", "schema": "schema", "docs": "docs",
}  # fmt: skip
_ANSWER = {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}


class EntrancesView(APIView):
    """The list of entrances. It needs no token, as the documentation, and so helps clients whose token is wrong."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(responses={200: _ANSWER})
    def get(self, request: Request) -> Response:
        """List the entrances of the API. Append the name of a file to `upload`, as `curl -T movie.mp4 URL` does."""
        found = {name: reverse(pattern, request=request) for name, pattern in ENTRANCES.items()}
        return Response(found | {"upload": reverse("upload", ["-"], request=request).removesuffix("-")})


_building = threading.Lock()


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, built once in a process: it takes a second to build, and is public."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The OpenAPI document, as JSON or YAML by the Accept header."""
        renderer: Any = request.accepted_renderer
        with _building:  # requests at the same time wait for one build
            body = rendered(renderer.media_type)
        response = HttpResponse(body, content_type=renderer.media_type)
        response["ETag"] = f'"{sha256(body).hexdigest()}"'
        response["Vary"] = "Accept"
        response["Cache-Control"] = "no-cache"  # clients ask whether it has changed: each release may change it
        response["Content-Disposition"] = f'inline; filename="{spectacular_settings.TITLE}.{renderer.format}"'
        answer = get_conditional_response(request._request, etag=response["ETag"], response=response)
        assert answer is not None
        return answer


@cache
def rendered(media_type: str) -> bytes:
    [renderer] = [kind for kind in SchemaView.renderer_classes if kind.media_type == media_type]
    return force_bytes(renderer().render(document()))


@cache
def document() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
