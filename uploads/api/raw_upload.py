"""PUT upload/NAME: upload the body of the request as a file, as `curl -T movie.mp4 …/api/v1/upload/` does."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..access import permissions
from ..access.authentication import Scopes, principal_of
from ..conf import limits
from ..content.digests import parse_claims
from ..errors import InvalidParams
from ..http.arrival_choice import arrival_choice
from ..http.body import Body
from ..http.file_metadata import file_metadata
from ..http.upload_handler import entrance
from ..models import Upload
from ..scopes import Scope
from ..transfers.admission import Announcement
from ..transfers.reception import Reception
from .files import EntranceMixin, created
from .serializers import FileSerializer


class RawUploadView(EntranceMixin, APIView):
    scopes: Scopes = {"put": Scope.UPLOAD}
    parser_classes = []

    @entrance
    @extend_schema(request={"application/octet-stream": OpenApiTypes.BINARY}, responses={201: FileSerializer})
    def put(self, request: Request, name: str) -> Response:
        """Upload a file as the body of the request, with a Content-Length or chunked, optionally gzipped."""
        owner = permissions.require_upload(request.user)
        if "Content-Range" in request.headers:
            raise InvalidParams(
                "Send the whole file: Content-Range is not supported here. Use a resumable upload (tus)."
            )
        claims = parse_claims(request.headers)
        body = Body(request.META, idle_timeout=limits().idle_timeout, claims=claims)
        pieces = body.content()
        announcement = Announcement(
            owner=owner,
            token=principal_of(request).token_id,
            name=name,
            protocol=Upload.Protocol.PUT,
            size=None if body.is_coded else body.length,
            key=request.headers.get("Idempotency-Key", ""),
            route="upload",
            claims=str(claims),
            length=body.length,
            presets=arrival_choice(request.query_params),
            file_metadata=file_metadata(request.query_params, header=request.headers.get("Upload-Metadata", "")),
        )
        with Reception.open(announcement) as reception:
            for piece in pieces:
                reception.feed(piece)
            return created(request, reception.commit())
