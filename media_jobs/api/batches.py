"""jobs/batch/: one operation on many files, as one request with one progress."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from uploads.access.authentication import Scopes, principal_of
from uploads.api.list_filters import FileFilter, MomentFilter, NewestFirst, OwnerFilter
from uploads.api.metadata_field import MetadataField
from uploads.models import MediaFile
from uploads.scopes import Scope

from .. import permissions
from ..errors import NoSuchFile
from ..models import Batch
from ..queue import batches
from ..queue.submission import parse_request
from .serializers import FormOrder

_MOST_IDS = 10_000


class BatchOrder(FormOrder):
    """A request for a batch: an operation or a preset, and the files, by their ids or by filters."""

    files = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_empty=False, max_length=_MOST_IDS,
        help_text="Ids of files. Send this or `filter`",
    )  # fmt: skip
    metadata = MetadataField(
        required=False, allow_null=True, help_text="A small JSON object of your own, which all its jobs get"
    )
    filter = serializers.DictField(
        required=False,
        help_text="The filters of files/, such as {“kind”: “video”, “q”: “talk”}. {}: all that you may see",
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if ("files" in values) == ("filter" in values):
            raise serializers.ValidationError({"files": ["Send either `files` or `filter`."]})
        if values["inputs"]:
            raise serializers.ValidationError({"inputs": ["A batch takes no further inputs."]})
        return super().validate(values)


class BatchUrls(serializers.Serializer[Batch]):
    self = serializers.URLField()
    jobs = serializers.URLField()
    cancel = serializers.URLField()
    retry = serializers.URLField()


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField()
    count = serializers.IntegerField()


class CountsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField(help_text="Files, at the time of the request")
    waiting = serializers.IntegerField(help_text="Files whose jobs are still to be submitted")
    skipped = serializers.IntegerField(help_text="Files that got no job; see `skipped_because`")
    deleted = serializers.IntegerField(help_text="Files, or jobs, that were deleted since")
    jobs = serializers.DictField(child=serializers.IntegerField(), help_text="Jobs by their status")


class BatchListSerializer(serializers.ListSerializer[Batch]):
    """Counts once for all batches of a page."""

    counts: dict[UUID, batches.Counts]

    def to_representation(self, data: Any) -> Any:
        rows = list(data)
        self.counts = batches.counts(rows)
        return super().to_representation(rows)


class BatchSerializer(serializers.ModelSerializer[Batch]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    metadata = MetadataField(read_only=True)

    class Meta:
        model = Batch
        list_serializer_class = BatchListSerializer
        fields = ["id", "operation", "params", "preset", "metadata", "priority", "owner", "created_at"]
        read_only_fields = fields

    def to_representation(self, batch: Batch) -> dict[str, Any]:
        page = self.parent
        found = page.counts[batch.pk] if isinstance(page, BatchListSerializer) else batches.counts_of(batch)
        request = self.context.get("request")
        urls = {name: reverse(f"batch-{name}", [batch.pk], request=request) for name in ("cancel", "retry")}
        jobs = f"{reverse('job-list', request=request)}?batch={batch.pk}"
        return {
            **super().to_representation(batch),
            "is_finished": found.is_finished, "progress": found.progress, "counts": CountsSerializer(found).data,
            "skipped_because": ReasonSerializer(found.reasons, many=True).data,
            "urls": {"self": reverse("batch-detail", [batch.pk], request=request), "jobs": jobs, **urls},
        }  # fmt: skip


class BatchAnswer(BatchSerializer):
    """A batch as it is answered, for the API schema."""

    is_finished = serializers.BooleanField()
    progress = serializers.FloatField(help_text="From 0 to 1. A job weighs as much as its file has bytes")
    counts = CountsSerializer()
    skipped_because = ReasonSerializer(many=True, help_text="The most frequent reasons")
    urls = BatchUrls()

    class Meta(BatchSerializer.Meta):
        fields = [*BatchSerializer.Meta.fields, "is_finished", "progress", "counts", "skipped_because", "urls"]
        read_only_fields = fields


class BatchFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    operation = django_filters.CharFilter()
    owner = OwnerFilter()
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Batch
        fields: list[str] = []


class BatchViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Batch]):
    scopes: Scopes = {
        "list": Scope.READ, "retrieve": Scope.READ, "create": Scope.WORK, "cancel": Scope.WORK, "retry": Scope.WORK,
    }  # fmt: skip
    serializer_class = BatchSerializer
    filterset_class = BatchFilter
    pagination_class = NewestFirst
    queryset = Batch.objects.none()  # for the API schema; get_queryset gives the rows

    def get_queryset(self) -> QuerySet[Batch]:
        return permissions.visible_batches(self.request.user)

    @extend_schema(responses=BatchAnswer(many=True))
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(responses=BatchAnswer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """How far the batch is: its jobs by status, and the files that were skipped, with the reasons."""
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(request=BatchOrder, responses={202: BatchAnswer})
    def create(self, request: Request) -> Response:
        """Run an operation on many files. The jobs are submitted in the background, a few hundred at a time."""
        permissions.require_submit(request.user)  # before any error in the request is reported
        form = BatchOrder(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        order = parse_request(request.user, values, request.headers.get("Idempotency-Key", ""), comes_later=True)
        files = _chosen(permissions.usable_files(request.user), values)
        batch, is_new = batches.create(order, files, [values.get("files"), values.get("filter")])
        answer = Response(self.get_serializer(batch).data, status.HTTP_202_ACCEPTED)
        answer["Location"] = answer.data["urls"]["self"]
        if not is_new:
            answer["Idempotency-Replayed"] = "true"
        return answer

    @extend_schema(request=None, responses=BatchAnswer)
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Cancel all jobs of the batch that have not ended, and submit no more."""
        return self._act(batches.cancel)

    @extend_schema(request=None, responses=BatchAnswer)
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Run the jobs of the batch again that have failed."""
        return self._act(batches.retry)

    def _act(self, verb: Callable[[Batch], None]) -> Response:
        batch = self.get_object()
        permissions.require(principal_of(self.request).user, "change", batch)
        verb(batch)
        return Response(self.get_serializer(self.get_object()).data)


def _chosen(usable: QuerySet[MediaFile], values: Mapping[str, Any]) -> QuerySet[MediaFile]:
    if (ids := values.get("files")) is not None:
        found = usable.filter(pk__in=set(ids))
        if found.count() < len(set(ids)):
            here = set(found.values_list("pk", flat=True))
            lost = next(pk for pk in ids if pk not in here)
            raise NoSuchFile(f"The file {lost} does not exist, or you may not use it.")
        return found
    filters = FileFilter(_as_query(values["filter"]), usable)
    if unknown := [name for name in values["filter"] if name not in filters.filters]:
        known = ", ".join(filters.filters)
        raise serializers.ValidationError({"filter": [f"There is no filter “{str(unknown[0])[:40]}”. Use {known}."]})
    if not filters.is_valid():
        raise serializers.ValidationError({"filter": filters.errors})
    found_by_filter: QuerySet[MediaFile] = filters.qs
    return found_by_filter


def _as_query(wanted: Mapping[str, Any]) -> QueryDict:
    """The filters as a query string would have them."""
    query = QueryDict(mutable=True)
    for name, value in wanted.items():
        query.setlist(str(name), [str(each) for each in (value if isinstance(value, list) else [value])])
    return query
