"""The API's own description, built once in a process: it takes a second of a core, and everybody may ask for it."""

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
from rest_framework.request import Request

_building = threading.Lock()


class SchemaView(SpectacularAPIView):
    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As JSON or YAML, whichever the client accepts."""
        renderer: Any = request.accepted_renderer
        with _building:  # those who come meanwhile wait for it, instead of building one each
            body = rendered(renderer.media_type)
        response = HttpResponse(body, content_type=renderer.media_type)
        response["ETag"] = f'"{sha256(body).hexdigest()}"'
        response["Vary"] = "Accept"
        response["Cache-Control"] = "no-cache"  # kept, and compared: it changes with each release
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
