"""presets/: operations with parameters under a name, saved for one account or for all."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from uploads.access.authentication import Scopes, principal_of
from uploads.api.list_filters import NewestFirst
from uploads.scopes import Scope

from .. import permissions
from ..models import Preset
from ..queue import presets
from .serializers import Strict


class PresetUrls(serializers.Serializer[Preset]):
    self = serializers.URLField()


class PresetSerializer(serializers.ModelSerializer[Preset]):
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True, read_only=True)
    trouble = serializers.SerializerMethodField(
        help_text="Why no job can be made from it any more, and what to do; null if all is well"
    )
    urls = serializers.SerializerMethodField()

    class Meta:
        model = Preset
        fields = ["id", "name", "operation", "params", "owner", "trouble", "created_at", "urls"]
        read_only_fields = fields

    def get_trouble(self, preset: Preset) -> str | None:
        return presets.trouble(preset) or None

    @extend_schema_field(PresetUrls)
    def get_urls(self, preset: Preset) -> dict[str, str]:
        return {"self": reverse("preset-detail", [preset.pk], request=self.context.get("request"))}


class PresetChange(Strict):
    name = serializers.CharField(required=False, help_text="Unique among the presets of its owner")
    operation = serializers.CharField(max_length=32, required=False)
    params = serializers.JSONField(required=False, help_text="Parameters of the operation; the others get defaults")


class PresetRequest(PresetChange):
    name = serializers.CharField(help_text="Unique among the presets of its owner")
    operation = serializers.CharField(max_length=32)
    for_all = serializers.BooleanField(
        default=False, help_text="For all accounts, not for yours alone. Administrators only"
    )


class PresetFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    name = django_filters.CharFilter()
    operation = django_filters.CharFilter()
    for_all = django_filters.BooleanFilter(field_name="owner", lookup_expr="isnull", label="Whether it has no owner")

    class Meta:
        model = Preset
        fields: list[str] = []


class PresetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Preset]):
    scopes: Scopes = {
        "list": Scope.READ | Scope.WORK, "retrieve": Scope.READ | Scope.WORK,
        "create": Scope.ADMIN, "partial_update": Scope.ADMIN, "destroy": Scope.ADMIN,
    }  # fmt: skip
    serializer_class = PresetSerializer
    filterset_class = PresetFilter
    pagination_class = NewestFirst
    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    queryset = Preset.objects.none()  # for the API schema; get_queryset gives the rows

    def get_queryset(self) -> QuerySet[Preset]:
        return permissions.visible_presets(self.request.user)

    @extend_schema(request=PresetRequest, responses={201: PresetSerializer})
    def create(self, request: Request) -> Response:
        """Save a preset. Its parameters are checked as those of a job are."""
        user = permissions.require_submit(request.user)
        wanted = _valid(PresetRequest, request)
        owner = None if wanted["for_all"] else user
        permissions.require_on_preset(user, "add", None if owner is None else owner.pk)
        preset = presets.save(owner, wanted["name"], wanted["operation"], wanted.get("params"))
        answer = self._answer(preset, status.HTTP_201_CREATED)
        answer["Location"] = answer.data["urls"]["self"]
        return answer

    @extend_schema(request=PresetChange, responses=PresetSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the name, the operation or the parameters. Jobs that exist stay as they are."""
        preset = self.get_object()
        permissions.require_on_preset(principal_of(request).user, "change", preset.owner_id)
        return self._answer(presets.change(preset, **_valid(PresetChange, request)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete the preset. Jobs that were made from it stay."""
        preset = self.get_object()
        permissions.require_on_preset(principal_of(request).user, "delete", preset.owner_id)
        presets.delete(preset)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _answer(self, preset: Preset, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(preset).data, status=code)


def _valid(form: type[Strict], request: Request) -> dict[str, Any]:
    found = form(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
