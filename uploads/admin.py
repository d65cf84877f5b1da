"""Files and uploads as staff see them. Nothing is edited here: files come through an entrance and go by a verb."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from . import policy, wording
from .models import MediaFile, Token, Upload
from .storing import delete_file


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(MediaFile)
class MediaFileAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "size", "sha256", "owner", "created_at"]
    list_filter = ["origin", "blob__kind"]
    search_fields = ["name__istartswith", "blob__sha256__startswith"]
    list_select_related = ["blob", "owner"]
    fields = ["name", "kind", "media_type", "size", "sha256", "origin", "owner", "created_at"]
    readonly_fields = ["kind", "media_type", "size", "sha256"]
    ordering = ["-created_at", "-id"]

    @admin.display(description="kind")
    def kind(self, file: MediaFile) -> str:
        return file.blob.kind

    @admin.display(description="media type")
    def media_type(self, file: MediaFile) -> str:
        return file.blob.media_type

    @admin.display(description="size")
    def size(self, file: MediaFile) -> str:
        return wording.human_size(file.blob.size)

    @admin.display(description="SHA-256")
    def sha256(self, file: MediaFile) -> str:
        return file.blob.sha256

    def get_queryset(self, request: HttpRequest) -> QuerySet[MediaFile]:
        return policy.visible_files(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (
            obj is None or policy.may(request.user, "delete", obj)
        )

    def delete_model(self, request: HttpRequest, obj: MediaFile) -> None:
        delete_file(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[MediaFile]) -> None:
        for file in queryset:
            delete_file(file)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "message", "protocol", "owner", "created_at"]
    list_filter = ["state", "protocol"]
    search_fields = ["name__istartswith"]
    list_select_related = ["owner"]
    ordering = ["-created_at", "-id"]

    @admin.display(description="message")
    def message(self, upload: Upload) -> str:
        return wording.message_of(upload)

    def has_delete_permission(self, request: HttpRequest, obj: Upload | None = None) -> bool:
        return False


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Made by `manage.py token USER`, as the token itself is shown once only; revoked here, by deleting."""

    list_display = ["name", "user", "created", "expiry"]
    list_select_related = ["user"]
    fields = ["name", "user", "created", "expiry"]
