"""search/: find files by their names, their metadata, and by what is said and read in them."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..access import permissions
from ..access.authentication import Scopes
from ..errors import InvalidParams
from ..models import MediaFile, SearchText
from ..scopes import Scope
from ..text.text_query import Part, TextQuery
from ..text_search import Hit, find, hits
from .list_filters import NewestFirst, OwnerFilter
from .serializers import FileSerializer, FileUrls

_Q = OpenApiParameter(
    "q",
    str,
    required=True,
    description="Words, which all have to occur; `“a phrase”` in quotation marks; `begin*` for the beginning of a "
    "word. Case and accents do not count. Nothing else has a meaning",
)
_LARGEST_ID = 2**63 - 1


class TextFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    source = django_filters.CharFilter(
        label="`name`, `metadata`, `transcript`, a detector such as `plates`, or `job`: the metadata of one"
    )
    file = django_filters.UUIDFilter(field_name="file_id", label="The id of a file: search in it alone")
    kind = django_filters.CharFilter(field_name="file__kind", label="Of the file, such as `video`")
    owner = OwnerFilter(field_name="file__owner", label="The exact name of an account")

    class Meta:
        model = SearchText
        fields: list[str] = []


class NewestTexts(NewestFirst):
    ordering = ("-id",)

    def checked(self, position: str) -> str:
        if not 0 <= (found := int(position)) <= _LARGEST_ID:
            raise ValueError(position)
        return str(found)


class FoundFileSerializer(serializers.ModelSerializer[MediaFile]):
    """A file in an answer of the search. files/ID/ has the rest."""

    owner = serializers.CharField(source="owner.username", read_only=True)
    urls = serializers.SerializerMethodField()

    class Meta:
        model = MediaFile
        fields = ["id", "name", "kind", "size", "owner", "created_at", "urls"]
        read_only_fields = fields

    @extend_schema_field(FileUrls)
    def get_urls(self, file: MediaFile) -> dict[str, str]:
        return FileSerializer(context=self.context).get_urls(file)


class PartSerializer(serializers.Serializer[Part]):
    text = serializers.CharField()
    match = serializers.BooleanField(help_text="Whether this part is what was searched for")


class HitSerializer(serializers.Serializer[Any]):  # of a Hit
    source = serializers.CharField(  # type: ignore[assignment]  # a member of the answer, not the field's own
        help_text="Where it was found: `name`, `metadata`, `transcript`, a detector such as `plates`, or `job`: the "
        "metadata of one"
    )
    start = serializers.FloatField(allow_null=True, help_text="The second of the file; null where there is none")
    snippet = PartSerializer(many=True, help_text="Plain text in parts. Escape it, as all text of users")
    about = serializers.SerializerMethodField(help_text="The URL of the job whose metadata it is; null for others")
    file = FoundFileSerializer()

    def get_about(self, hit: Hit) -> str | None:
        source = hit.app_source
        return reverse(source.api_route, [hit.about], request=self.context.get("request")) if source else None


class SearchView(mixins.ListModelMixin, viewsets.GenericViewSet[SearchText]):
    scopes: Scopes = {"list": Scope.READ}
    serializer_class = HitSerializer
    filterset_class = TextFilter
    pagination_class = NewestTexts
    queryset = SearchText.objects.none()  # for the API schema; get_queryset gives the rows

    def get_queryset(self) -> QuerySet[SearchText]:
        return permissions.visible_texts(self.request.user)

    @extend_schema(parameters=[_Q])
    def list(self, request: Request) -> Response:
        """Find files by their names, their metadata and what is said in them, the latest texts first.

        A page may have fewer results than `page_size`, and even none: the last one is that without `next`.
        """
        text = request.query_params.get("q", "")
        if not text.strip():
            raise InvalidParams("Send what to search for as `q`.", errors={"q": ["Send what to search for."]})
        query = TextQuery.parse(text)
        page = self.paginate_queryset(find(self.filter_queryset(self.get_queryset()), query))
        assert page is not None
        return self.get_paginated_response(self.get_serializer(list(hits(page, query)), many=True).data)
