"""Filters and paging of the API's lists. Each filter uses an index, or filters the rows that an index found."""

from datetime import datetime
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters.fields import IsoDateTimeField
from rest_framework import pagination
from rest_framework.exceptions import NotFound
from rest_framework.exceptions import ValidationError as RestValidationError
from rest_framework.request import Request

from .. import list_search
from ..content.sniffing import Kind
from ..models import MediaFile, Upload
from ..text.times import parse_moment


class OwnerFilter(django_filters.CharFilter):  # type: ignore[misc]  # no types
    """Filter by the exact name of an account, which is looked up first, so that the list can use an index."""

    def filter(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        return list_search.owned_by(rows, name, self.field_name) if name else rows


class _MomentField(IsoDateTimeField):  # type: ignore[misc]
    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return parse_moment(str(value).strip())
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    field_class = _MomentField


class FileFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    kind = django_filters.MultipleChoiceFilter(choices=[(kind.value, kind.value) for kind in Kind])
    media_type = django_filters.CharFilter(field_name="blob__media_type")
    origin = django_filters.MultipleChoiceFilter(choices=MediaFile.Origin.choices)
    owner = OwnerFilter()
    sha256 = django_filters.CharFilter(field_name="blob__sha256")
    size_min = django_filters.NumberFilter(field_name="size", lookup_expr="gte")
    size_max = django_filters.NumberFilter(field_name="size", lookup_expr="lte")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    # Must be last: it searches in the rows that the other filters found.
    q = django_filters.CharFilter(
        method="search",
        label="The beginning of the name, the whole id, or the beginning of the SHA-256 "
        f"(at least {list_search.LEAST_HEX} digits). Finds at most {list_search.MOST} files by each of these",
    )

    class Meta:
        model = MediaFile
        fields: list[str] = []

    def search(self, files: QuerySet[MediaFile], _: str, text: str) -> QuerySet[MediaFile]:
        return files.filter(pk__in=list_search.files(files, text).pks)


class UploadFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    key = django_filters.CharFilter(field_name="idempotency_key", label="The Idempotency-Key of the request")
    state = django_filters.MultipleChoiceFilter(choices=Upload.State.choices)
    protocol = django_filters.MultipleChoiceFilter(choices=Upload.Protocol.choices)
    owner = OwnerFilter()

    class Meta:
        model = Upload
        fields: list[str] = []


class NewestFirst(pagination.CursorPagination):
    ordering: tuple[str, ...] = ("-created_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def decode_cursor(self, request: Request) -> Any:
        """Check the position in the cursor: clients may send anything."""
        try:
            cursor: Any = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                cursor = cursor._replace(position=self.checked(cursor.position))
        except (NotFound, ValueError) as error:
            raise RestValidationError({self.cursor_query_param: [self.invalid_cursor_message]}) from error
        return cursor

    def checked(self, position: str) -> str:
        """The position in the first column of the order, or ValueError."""
        return str(parse_moment(position))
