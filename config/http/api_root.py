"""/api/v1/: where the API's entrances are."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

# By the names of their URL patterns. What needs an id or a name is found from these.
ENTRANCES = {
    "files": "file-list", "uploads": "upload-list", "jobs": "job-list", "operations": "operations",
    "tokens": "token-list", "me": "me", "schema": "schema", "docs": "docs",
}  # fmt: skip
_ANSWER = {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}


class EntrancesView(APIView):
    """For everybody: the documentation says the same, and a wrong token should find out where it went wrong."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(responses={200: _ANSWER})
    def get(self, request: Request) -> Response:
        """The entrances of the API by name. `upload` takes the name of a file at its end: `curl -T movie.mp4 URL`."""
        found = {name: reverse(pattern, request=request) for name, pattern in ENTRANCES.items()}
        return Response(found | {"upload": reverse("upload", ["-"], request=request).removesuffix("-")})
