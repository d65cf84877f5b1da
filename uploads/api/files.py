"""files/ and uploads/: stored files, and uploads with their progress."""

import sys
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseRedirect
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..access import permissions, signed_links
from ..access.authentication import Scopes, principal_of
from ..errors import MalformedForm, MissingFile, Refusal
from ..http.body import is_chunked
from ..http.upload_handler import FILE_FIELD, ReceivedFile, form_entrance
from ..models import MediaFile, Upload
from ..runtime.database_connections import write
from ..scopes import Scope
from ..storage.files import delete_file, describe_file, rename_file
from ..transfers.idempotency import Replay
from ..transfers.resumable import recovery
from .list_filters import FileFilter, NewestFirst, UploadFilter
from .serializers import FileForm, FileSerializer, LinkRequest, LinkSerializer, UploadSerializer

# The scope needed for all uploads of the account. Without it, a token with the scope `upload` may list and end only
# the uploads that it began itself. It may continue any upload of its account: that needs the URL of the upload.
_SCOPE_FOR_ALL = {"list": Scope.READ, "retrieve": Scope.READ, "destroy": Scope.ADMIN}


class EntranceMixin:
    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Django and DRF treat a request without Content-Length as one without a body, and would not call our upload
        # handler. The handler recognizes a chunked body itself, so that any length above zero works here.
        if is_chunked(request.META) and not request.META.get("CONTENT_LENGTH"):
            request.META["CONTENT_LENGTH"] = str(sys.maxsize)
        drf_request: Request = super().initialize_request(request, *args, **kwargs)  # type: ignore[misc]
        return drf_request

    def handle_exception(self, error: Exception) -> Response:
        # The form is parsed on first access to a field, so Replay may come from the view or from the CSRF check.
        if isinstance(error, Replay):
            request: Request = self.request  # type: ignore[attr-defined]  # the view's
            try:
                return created(request, error.answer(), replayed=True)
            except Refusal as refusal:
                error = refusal
        response: Response = super().handle_exception(error)  # type: ignore[misc]
        return response


def created(request: Request, file: MediaFile, *, replayed: bool = False) -> Response:
    """201 with the file. The response to a repeated request has the header Idempotency-Replayed."""
    data = FileSerializer(file, context={"request": request}).data
    headers = {"Location": data["urls"]["self"]}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(data, status=status.HTTP_201_CREATED, headers=headers)


class StreamedFormParser(MultiPartParser):
    """Parse multipart forms by Django's upload handlers. Reports a bad boundary with our error code."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except ParseError as error:
            raise MalformedForm("The form cannot be read. Check the boundary in its Content-Type.") from error


class FileViewSet(
    EntranceMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[MediaFile],
):
    scopes: Scopes = {
        "list": Scope.READ, "retrieve": Scope.READ, "create": Scope.UPLOAD,
        "partial_update": Scope.ADMIN, "destroy": Scope.ADMIN, "link": Scope.ADMIN,
    }  # fmt: skip
    serializer_class = FileSerializer
    filterset_class = FileFilter
    pagination_class = NewestFirst
    parser_classes = [StreamedFormParser, FormParser, JSONParser]
    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    queryset = MediaFile.objects.none()  # for the API schema; get_queryset gives the rows

    def get_queryset(self) -> Any:
        return permissions.visible_files(self.request.user)

    @form_entrance
    @extend_schema(request={"multipart/form-data": FileForm}, responses={201: FileSerializer})
    def create(self, request: Request) -> Response:
        """Upload a file as a multipart form. It is checked and hashed while it streams to the disk."""
        permissions.require_upload(request.user)
        received = request.FILES.get(FILE_FIELD)
        if not isinstance(received, ReceivedFile):
            raise MissingFile(f"Send a multipart form with the file in the field “{FILE_FIELD}”.")
        return created(request, received.reception.commit())

    def perform_update(self, serializer: Any) -> None:
        permissions.require(self.request.user, "change", serializer.instance)
        file, changes = serializer.instance, serializer.validated_data  # of name and metadata, and nothing else
        with write():
            if "name" in changes and not rename_file(file, changes["name"]):
                raise Http404
            if "metadata" in changes and not describe_file(file, changes["metadata"]):
                raise Http404

    def perform_destroy(self, instance: MediaFile) -> None:
        permissions.require(self.request.user, "delete", instance)
        delete_file(instance)

    @extend_schema(methods=["POST"], request=LinkRequest, responses={201: LinkSerializer})
    @extend_schema(methods=["DELETE"], request=None, responses={204: None})
    @action(detail=True, methods=["post", "delete"], pagination_class=None)
    def link(self, request: Request, pk: str | None = None) -> Response:
        """POST creates a download link that needs no token until it expires. DELETE revokes all links to the file."""
        file = self.get_object()
        permissions.require(request.user, "change", file)
        if request.method == "DELETE":
            signed_links.revoke(file)
            return Response(status=status.HTTP_204_NO_CONTENT)
        form = LinkRequest(data=request.data)
        form.is_valid(raise_exception=True)
        link = signed_links.make(file, form.validated_data["expires_in"], request)
        return Response(LinkSerializer(link).data, status=status.HTTP_201_CREATED)


class UploadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Upload]):
    """Uploads with their state, progress and error."""

    serializer_class = UploadSerializer
    filterset_class = UploadFilter
    pagination_class = NewestFirst
    queryset = Upload.objects.none()

    def get_queryset(self) -> Any:
        uploads = permissions.visible_uploads(self.request.user)
        principal = principal_of(self.request)
        if self.action in _SCOPE_FOR_ALL and not principal.has(_SCOPE_FOR_ALL[self.action]):
            return uploads.filter(token=principal.token_id)
        return uploads

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """The upload with its progress. A complete one redirects to the content (303), unless `Accept` is JSON."""
        upload = self.get_object()
        if upload.file_id and "application/json" not in request.headers.get("Accept", ""):
            content = reverse("file-content", [upload.file_id], request=request)
            return HttpResponseRedirect(content, status=status.HTTP_303_SEE_OTHER)
        # The sink may have more bytes than the row says.
        upload.offset = max(upload.offset, recovery.peek_offset(upload))
        return Response(self.get_serializer(upload).data)
