"""uploads/: the tus 1.0 protocol. The upload itself is handled by transfers/resumable."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..access import permissions
from ..access.authentication import Scopes, principal_of
from ..conf import finite, limits
from ..content.digests import Claims, parse_claims
from ..errors import (
    AlreadyComplete,
    Gone,
    IncompleteBody,
    Locked,
    UnsupportedCoding,
    UnsupportedVersion,
    UploadComplete,
)
from ..http import tus_headers
from ..http.arrival_choice import arrival_choice
from ..http.body import Body
from ..http.file_metadata import file_metadata
from ..http.upload_handler import entrance
from ..models import MediaFile, Upload
from ..scopes import Scope
from ..storage.files import delete_file
from ..transfers.admission import Announcement, admit
from ..transfers.idempotency import Replay
from ..transfers.quota import limits_of
from ..transfers.resumable import recovery
from ..transfers.resumable.expiry import lifetime
from ..transfers.resumable.session import Session, check_first_body
from .files import UploadViewSet, created
from .serializers import FileSerializer

# Methods that need a Tus-Resumable header. GET returns JSON, and OPTIONS tells which versions there are.
_TUS_ACTIONS = {"create", "offset", "partial_update", "destroy"}


class TusViewSet(UploadViewSet):
    parser_classes = []
    scopes: Scopes = {
        "list": Scope.READ | Scope.UPLOAD, "retrieve": Scope.READ | Scope.UPLOAD, "offset": Scope.READ | Scope.UPLOAD,
        "create": Scope.UPLOAD, "partial_update": Scope.UPLOAD, "update": Scope.UPLOAD,
        "destroy": Scope.UPLOAD | Scope.ADMIN,
    }  # fmt: skip

    def get_permissions(self) -> Any:
        return [AllowAny()] if self.request.method == "OPTIONS" else super().get_permissions()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action in _TUS_ACTIONS:
            tus_headers.require_version(request.headers)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(
            status=status.HTTP_204_NO_CONTENT, headers=tus_headers.capabilities(_largest(self.request.user))
        )

    @entrance
    @extend_schema(request={tus_headers.CONTENT_TYPE: OpenApiTypes.BINARY}, responses={201: None})
    def create(self, request: Request) -> Response:
        """Create a resumable upload (tus 1.0). Location has its URL. The request may contain the first bytes."""
        creation = tus_headers.read_creation(request.headers)
        owner = permissions.require_upload(request.user)
        # Check the whole request before a row is created and space is reserved.
        claims = tus_headers.parse_checksum(request.headers)
        body = self._first_body(request, owner.pk, claims, creation.length) if creation.has_body else None
        announcement = Announcement(
            owner=owner,
            token=principal_of(request).token_id,
            name=creation.name,
            protocol=Upload.Protocol.TUS,
            size=creation.length,
            key=request.headers.get("Idempotency-Key", ""),
            route="uploads",
            claims=creation.metadata,
            length=creation.length,
            lifetime=lifetime(0),
            metadata=creation.metadata,
            presets=arrival_choice(request.query_params),
            file_metadata=file_metadata(request.query_params, header=creation.metadata),
        )
        headers = {}
        try:
            upload = admit(announcement)
        except Replay as replay:
            upload, headers = replay.upload, {"Idempotency-Replayed": "true"}
            if upload.file is not None:
                replay.answer()
            upload.offset = recovery.peek_offset(upload)
        headers |= tus_headers.progress(upload.offset, upload.expires_at)
        if body is not None and "Idempotency-Replayed" not in headers:
            headers |= self._fill(upload.pk, tus_headers.Patch(0, None, claims), body)
        headers["Location"] = reverse("upload-detail", [upload.pk])
        return Response(status=status.HTTP_201_CREATED, headers=headers)

    def offset(self, request: Request, pk: UUID) -> Response:
        """The offset of an upload (HEAD). A request that is still sending is asked to stop; its bytes count."""
        self._require_owner(pk)
        upload = get_object_or_404(Upload, pk=pk)
        offset = recovery.read_offset(upload)
        progress = tus_headers.progress(offset, upload.expires_at) | tus_headers.description(
            upload.declared_size, upload.metadata
        )
        return Response(headers=progress | {"Cache-Control": "no-store"})

    @entrance
    @extend_schema(request={tus_headers.CONTENT_TYPE: OpenApiTypes.BINARY}, responses={204: None})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Send the next bytes of a resumable upload. The last one completes it and creates the file."""
        patch = tus_headers.read_patch(request.headers)
        self._require_owner(pk)
        try:
            headers = self._fill(pk, patch, self._body(request, patch.claims))
        except AlreadyComplete as complete:
            if (patch.offset, request.headers.get("Content-Length")) != (complete.size, "0"):
                raise
            headers = tus_headers.progress(complete.size, None)
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)

    @entrance
    @extend_schema(request={"application/octet-stream": OpenApiTypes.BINARY}, responses={201: FileSerializer})
    def update(self, request: Request, pk: UUID) -> Response:
        """Send the whole content of an upload in one body, without tus: `curl -T movie.mp4 UPLOAD_URL`."""
        claims = parse_claims(request.headers)
        body = self._body(request, claims)
        self._require_owner(pk)
        self._fill(pk, tus_headers.Patch(0, body.length, claims), body)
        upload = self.get_object()
        if upload.state != Upload.State.COMPLETE:
            raise IncompleteBody(f"The body ended early: {upload.offset} bytes were received. Continue with tus.")
        return created(request, get_object_or_404(permissions.visible_files(request.user), pk=upload.file_id))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End an upload and delete its bytes. For a complete upload, delete the file that it created."""
        upload = self.get_object()
        permissions.require_end(request.user, upload)
        try:
            recovery.terminate(upload)
        except UploadComplete:
            self._delete_file(upload.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _delete_file(self, pk: UUID) -> None:
        """Delete the file of a complete upload: tus clients terminate uploads even after the last byte.

        A token with only the scope `upload` may not: a token stolen from a camera must not delete its files.
        """
        principal_of(self.request).require(Scope.ADMIN)
        file = MediaFile.objects.filter(uploads=pk).first()
        if file is not None:
            permissions.require(self.request.user, "delete", file)
        if file is None or not delete_file(file):
            raise Gone("The file of this upload has been deleted.")

    def _require_owner(self, pk: UUID) -> None:
        # Not get_object(): clients send many small requests, and its filters and join would cost more than the rest.
        user = permissions.require_upload(self.request.user)
        if not Upload.objects.filter(pk=pk, owner_id=user.pk).exists():
            permissions.require_continue(user, get_object_or_404(permissions.visible_uploads(user), pk=pk))

    def _first_body(self, request: Request, owner_id: int, claims: Claims, size: int | None) -> Body:
        """The bytes in a creation request."""
        body = self._body(request, claims)
        check_first_body(owner_id, body.length or 0, size)
        return body

    def _body(self, request: Request, claims: Claims) -> Body:
        body = Body(request.META, idle_timeout=limits().idle_timeout, claims=claims)
        if body.is_coded:
            raise UnsupportedCoding("Send the bytes of an upload without Content-Encoding.")
        return body

    def _fill(self, pk: UUID, patch: tus_headers.Patch, body: Body) -> dict[str, str]:
        with Session.open(pk, stop=body.interrupt) as session:
            session.expect(patch.offset, length=body.length, size=patch.length, has_checksum=bool(patch.claims))
            for piece in body.pieces(session.speed):
                session.feed(piece)
            session.finish_request()
        return tus_headers.progress(session.offset, session.upload.expires_at)

    def handle_exception(self, error: Exception) -> Response:
        response: Response = super().handle_exception(error)
        if isinstance(error, UnsupportedVersion):
            response["Tus-Version"] = tus_headers.VERSION
        if self.request.method == "HEAD" and response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # If HEAD fails, tus clients start over from byte 0, unless they are asked to wait.
            return super().handle_exception(
                Locked("The offset of this upload cannot be read now. Try again in a few seconds.", retry_after=5)
            )
        return response


def _largest(user: Any) -> int | None:
    return limits_of(user.pk).largest if user.is_authenticated else finite(limits().max_file_size)
