"""What lists can be narrowed to. Each goes by an index, or narrows what an index has found."""

import re
import uuid

import django_filters
from django.db.models import Q, QuerySet

from .models import MediaFile, Upload
from .sniffing import Kind

_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


class FileFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    q = django_filters.CharFilter(method="search", label="Beginning of the name or the SHA-256, or the whole id")
    kind = django_filters.MultipleChoiceFilter(
        field_name="blob__kind", choices=[(kind.value, kind.value) for kind in Kind]
    )
    media_type = django_filters.CharFilter(field_name="blob__media_type")
    origin = django_filters.MultipleChoiceFilter(choices=MediaFile.Origin.choices)
    owner = django_filters.CharFilter(field_name="owner__username")
    sha256 = django_filters.CharFilter(field_name="blob__sha256")
    size_min = django_filters.NumberFilter(field_name="blob__size", lookup_expr="gte")
    size_max = django_filters.NumberFilter(field_name="blob__size", lookup_expr="lte")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = MediaFile
        fields: list[str] = []

    def search(self, files: QuerySet[MediaFile], _: str, text: str) -> QuerySet[MediaFile]:
        found = Q(name__istartswith=text) | Q(blob__sha256__startswith=text.lower())
        if _UUID.fullmatch(text):
            found |= Q(pk=uuid.UUID(text))
        return files.filter(found)


class UploadFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    key = django_filters.CharFilter(field_name="idempotency_key", label="The Idempotency-Key of its request")
    state = django_filters.MultipleChoiceFilter(choices=Upload.State.choices)
    protocol = django_filters.MultipleChoiceFilter(choices=Upload.Protocol.choices)
    owner = django_filters.CharFilter(field_name="owner__username")

    class Meta:
        model = Upload
        fields: list[str] = []
