"""Serializers of files, links and uploads. They contain no rules of their own."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from ..access import signed_links
from ..errors import InvalidName
from ..models import MediaFile, Upload
from ..text.file_names import clean_name
from ..transfers.status_text import upload_eta, upload_message, upload_progress
from .metadata_field import MetadataField


class FileUrls(serializers.Serializer[MediaFile]):
    self = serializers.URLField()
    content = serializers.URLField()


class FileSerializer(serializers.ModelSerializer[MediaFile]):
    kind = serializers.CharField(source="blob.kind", read_only=True)
    media_type = serializers.CharField(source="blob.media_type", read_only=True)
    size = serializers.IntegerField(source="blob.size", read_only=True)
    sha256 = serializers.CharField(source="blob.sha256", read_only=True)
    facts = serializers.JSONField(read_only=True)
    owner = serializers.CharField(source="owner.username", read_only=True)
    metadata = MetadataField(required=False, allow_null=True)
    urls = serializers.SerializerMethodField()

    class Meta:
        model = MediaFile
        fields = [
            "id", "name", "kind", "media_type", "size", "sha256", "facts", "metadata", "origin", "owner",
            "created_at", "urls",
        ]  # fmt: skip
        read_only_fields = ["id", "origin", "created_at"]

    def validate_name(self, value: str) -> str:
        try:
            return clean_name(value)
        except InvalidName as error:
            raise serializers.ValidationError(error.detail) from error

    @extend_schema_field(FileUrls)
    def get_urls(self, file: MediaFile) -> dict[str, str]:
        request = self.context.get("request")
        return {
            "self": reverse("file-detail", [file.pk], request=request),
            "content": reverse("file-content", [file.pk], request=request),
        }


class LinkRequest(serializers.Serializer[None]):
    expires_in = serializers.IntegerField(
        min_value=1,
        max_value=signed_links.MAX_SECONDS,
        default=signed_links.DEFAULT_SECONDS,
        help_text="Lifetime in seconds.",
    )


class LinkSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(help_text="The content, for programs.")
    page_url = serializers.URLField(help_text="A page that plays it, for people.")
    expires_at = serializers.DateTimeField()


class UploadError(serializers.Serializer[Upload]):
    code = serializers.CharField()
    detail = serializers.CharField()


class UploadSerializer(serializers.ModelSerializer[Upload]):
    key = serializers.CharField(source="idempotency_key", read_only=True)
    size = serializers.IntegerField(source="declared_size", read_only=True)
    progress = serializers.SerializerMethodField()
    eta_seconds = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    metadata = MetadataField(source="file_metadata", read_only=True)

    class Meta:
        model = Upload
        fields = [
            "id", "key", "name", "size", "offset", "progress", "speed", "eta_seconds", "protocol", "state",
            "message", "error", "metadata", "file", "created_at", "expires_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_progress(self, upload: Upload) -> float | None:
        return upload_progress(upload)

    def get_eta_seconds(self, upload: Upload) -> int | None:
        return upload_eta(upload)

    def get_message(self, upload: Upload) -> str:
        return upload_message(upload)

    @extend_schema_field(UploadError(allow_null=True))
    def get_error(self, upload: Upload) -> dict[str, str] | None:
        if not upload.error_code:
            return None
        return {"code": upload.error_code, "detail": upload.error_detail}


class FileForm(serializers.Serializer[MediaFile]):
    """The fields of an upload form. Only for the API schema: the upload handler reads the form."""

    metadata = MetadataField(required=False)
    file = serializers.FileField()
