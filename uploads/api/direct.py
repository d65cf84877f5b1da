"""uploads/direct/: uploads whose parts clients send straight to the store, at addresses that this server signs."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..access import permissions
from ..access.authentication import Scopes, principal_of
from ..conf import UNLIMITED
from ..http.arrival_choice import arrival_choice
from ..http.file_metadata import file_metadata
from ..models import DirectUpload, Upload
from ..scopes import Scope
from ..transfers.admission import Announcement
from ..transfers.direct import cleanup, parts, session
from ..transfers.idempotency import Replay
from ..transfers.resumable.expiry import lifetime
from .files import UploadViewSet
from .metadata_field import MetadataField
from .serializers import UploadSerializer


class DirectUploadRequest(serializers.Serializer[None]):
    name = serializers.CharField()
    size = serializers.IntegerField(min_value=0, max_value=UNLIMITED)
    metadata = MetadataField(required=False, allow_null=True)


class DirectUploadUrls(serializers.Serializer[Any]):
    self = serializers.URLField()
    parts = serializers.URLField()
    complete = serializers.URLField()


class DirectUploadSerializer(UploadSerializer):
    """An upload; while it is unfinished, also the size and number of its parts."""

    part_size = serializers.SerializerMethodField(help_text="Bytes of each part but the last; null after the end.")
    parts = serializers.SerializerMethodField(help_text="How many parts the file has; null after the end.")
    sent = serializers.SerializerMethodField(help_text="Whether all parts are there: then the content is checked.")
    urls = serializers.SerializerMethodField()

    class Meta(UploadSerializer.Meta):
        fields = [*UploadSerializer.Meta.fields, "part_size", "parts", "sent", "urls"]
        read_only_fields = fields

    def get_part_size(self, upload: Upload) -> int | None:
        found = _unfinished(upload)
        return None if found is None else found.part_size

    def get_parts(self, upload: Upload) -> int | None:
        found = _unfinished(upload)
        return None if found is None else found.parts

    def get_sent(self, upload: Upload) -> bool:
        found = _unfinished(upload)
        return upload.state == Upload.State.COMPLETE or (found is not None and found.sent_at is not None)

    @extend_schema_field(DirectUploadUrls)
    def get_urls(self, upload: Upload) -> dict[str, str]:
        names = {"self": "direct-detail", "parts": "direct-parts", "complete": "direct-complete"}
        request = self.context["request"]
        return {name: reverse(view, [upload.pk], request=request) for name, view in names.items()}


class PartsRequest(serializers.Serializer[None]):
    numbers = serializers.ListField(
        child=serializers.IntegerField(min_value=1), min_length=1, max_length=session.MOST_SIGNED,
        help_text="The numbers of parts, from 1.",
    )  # fmt: skip


class SignedPartSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    size = serializers.IntegerField(help_text="The part must have exactly this size, in bytes.")
    url = serializers.URLField(help_text="Send the part here by PUT, without an Authorization header.")


class SignedPartsSerializer(serializers.Serializer[Any]):
    parts = SignedPartSerializer(many=True)
    expires_in = serializers.IntegerField(help_text="Seconds. Ask again for parts that are not sent by then.")


class ArrivedPartSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    size = serializers.IntegerField()
    etag = serializers.CharField()


class ArrivedPartsSerializer(serializers.Serializer[Any]):
    parts = ArrivedPartSerializer(many=True)


class NamedPart(serializers.Serializer[None]):
    number = serializers.IntegerField(min_value=1)
    etag = serializers.CharField()


class CompletionRequest(serializers.Serializer[None]):
    parts = NamedPart(
        many=True,
        default=list,
        help_text="ETags that the store answered. Parts without one count as they are.",
    )


class DirectViewSet(UploadViewSet):
    """Direct uploads: create one, ask for addresses of parts, send the parts to the store, complete it."""

    serializer_class = DirectUploadSerializer
    scopes: Scopes = {
        "list": Scope.READ | Scope.UPLOAD, "retrieve": Scope.READ | Scope.UPLOAD, "create": Scope.UPLOAD,
        "arrived": Scope.UPLOAD, "sign": Scope.UPLOAD, "complete": Scope.UPLOAD,
        "destroy": Scope.UPLOAD | Scope.ADMIN,
    }  # fmt: skip

    def get_queryset(self) -> QuerySet[Upload]:
        found: QuerySet[Upload] = super().get_queryset().filter(protocol=Upload.Protocol.DIRECT)
        return found

    @extend_schema(request=DirectUploadRequest, responses={201: DirectUploadSerializer})
    def create(self, request: Request) -> Response:
        """Create a direct upload. The answer says into how many parts of which size the file is to be cut."""
        owner = permissions.require_upload(request.user)
        wanted = _parsed(DirectUploadRequest, request)
        announcement = Announcement(
            owner=owner, token=principal_of(request).token_id, name=wanted["name"],
            protocol=Upload.Protocol.DIRECT, size=wanted["size"], key=request.headers.get("Idempotency-Key", ""),
            route="direct", length=wanted["size"], lifetime=lifetime(0),
            presets=arrival_choice(request.query_params),
            file_metadata=wanted.get("metadata") or file_metadata(request.query_params),
        )  # fmt: skip
        headers = {}
        try:
            upload = session.begin(announcement).upload
        except Replay as replay:
            upload, headers = replay.upload, {"Idempotency-Replayed": "true"}
            if upload.file is not None:
                replay.answer()
            else:
                session.open_write(upload)
        answer = self._answer(upload, status.HTTP_201_CREATED)
        for name, value in {"Location": answer.data["urls"]["self"], **headers}.items():
            answer[name] = value
        return answer

    @extend_schema(responses=DirectUploadSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The upload with its progress. When all parts are there, `message` says how far the check is."""
        return self._answer(self.get_object())

    @extend_schema(responses=ArrivedPartsSerializer)
    def arrived(self, request: Request, pk: UUID) -> Response:
        """The parts that have arrived, as the store says. The others are to be sent."""
        found = parts.arrived(session.of(self._to_continue()))
        return Response(ArrivedPartsSerializer({"parts": found}).data)

    @extend_schema(request=PartsRequest, responses=SignedPartsSerializer)
    def sign(self, request: Request, pk: UUID) -> Response:
        """Addresses that take these parts. Ask for a few at a time: the requests keep the upload alive."""
        upload, numbers = self._to_continue(), _parsed(PartsRequest, request)["numbers"]
        signed = session.sign(session.of(upload), sorted(set(numbers)))
        return Response(SignedPartsSerializer({"parts": signed, "expires_in": session.ADDRESS_LIFETIME}).data)

    @extend_schema(request=CompletionRequest, responses={202: DirectUploadSerializer})
    def complete(self, request: Request, pk: UUID) -> Response:
        """Say that all parts are there. Then a worker checks the content, and the upload becomes a file.

        May be repeated. `parts` is needed only where a part was sent twice with different bytes.
        """
        upload = self._to_continue()
        named = {part["number"]: part["etag"].strip('"') for part in _parsed(CompletionRequest, request)["parts"]}
        if upload.state != Upload.State.COMPLETE:
            session.complete(session.of(upload), named)
            upload = self.get_object()
        return self._answer(upload, status.HTTP_202_ACCEPTED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End an unfinished upload, and delete its parts."""
        upload = self.get_object()
        permissions.require_end(request.user, upload)
        cleanup.terminate(upload)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _to_continue(self) -> Upload:
        upload: Upload = self.get_object()
        permissions.require_continue(self.request.user, upload)
        return upload

    def _answer(self, upload: Upload, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(upload).data, status=code)


def _parsed(form: type[serializers.Serializer[None]], request: Request) -> dict[str, Any]:
    found = form(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def _unfinished(upload: Upload) -> DirectUpload | None:
    found: DirectUpload | None = getattr(upload, "direct", None)
    return found if upload.state == Upload.State.RECEIVING else None
