"""presets/: operations with parameters under a name, saved for one account or for all."""

from functools import cached_property
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from uploads.access.authentication import Scopes, principal_of
from uploads.api.list_filters import NewestFirst
from uploads.scopes import Scope

from .. import permissions
from ..models import Arrival, Preset
from ..queue import arrivals, presets
from .serializers import Strict


class PresetUrls(serializers.Serializer[Preset]):
    self = serializers.URLField()


class PresetSerializer(serializers.ModelSerializer[Preset]):
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True, read_only=True)
    runs_for_you = serializers.SerializerMethodField(help_text="Whether it runs on each of your uploads")
    trouble = serializers.SerializerMethodField(
        help_text="Why no job can be made from it now, and what to do; null if all is well"
    )
    urls = serializers.SerializerMethodField()

    class Meta:
        model = Preset
        fields = [
            "id",
            "name",
            "operation",
            "params",
            "owner",
            "on_arrival",
            "runs_for_you",
            "trouble",
            "created_at",
            "urls",
        ]
        read_only_fields = fields

    def get_runs_for_you(self, preset: Preset) -> bool:
        return preset.pk in self.context["view"].chosen

    def get_trouble(self, preset: Preset) -> str | None:
        return presets.trouble(preset) or None

    @extend_schema_field(PresetUrls)
    def get_urls(self, preset: Preset) -> dict[str, str]:
        return {"self": reverse("preset-detail", [preset.pk], request=self.context.get("request"))}


class PresetChange(Strict):
    name = serializers.CharField(required=False, help_text="Unique among the presets of its owner")
    operation = serializers.CharField(max_length=32, required=False)
    params = serializers.JSONField(required=False, help_text="Parameters of the operation; the others get defaults")
    on_arrival = serializers.BooleanField(
        required=False, help_text="Runs on each new upload: yours or, if it is for all accounts, everybody's"
    )


class PresetRequest(PresetChange):
    name = serializers.CharField(help_text="Unique among the presets of its owner")
    operation = serializers.CharField(max_length=32)
    for_all = serializers.BooleanField(
        default=False, help_text="For all accounts, not for yours alone. Administrators only"
    )


class ArrivalRequest(Strict):
    runs = serializers.BooleanField(allow_null=True, help_text="null: as for all accounts")


class ArrivalNote(serializers.Serializer[Any]):
    preset = serializers.CharField()
    note = serializers.CharField(help_text="Why it does not run")


class ArrivalSerializer(serializers.Serializer[Any]):
    waiting = serializers.BooleanField(help_text="Whether presets are still to be run, after the inspection")
    notes = ArrivalNote(many=True, help_text="Presets that did not run on this file")


class PresetFilter(django_filters.FilterSet):  # type: ignore[misc]  # no types
    name = django_filters.CharFilter()
    operation = django_filters.CharFilter()
    on_arrival = django_filters.BooleanFilter()
    for_all = django_filters.BooleanFilter(field_name="owner", lookup_expr="isnull", label="Whether it has no owner")

    class Meta:
        model = Preset
        fields: list[str] = []


class PresetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Preset]):
    scopes: Scopes = {
        "list": Scope.READ | Scope.WORK, "retrieve": Scope.READ | Scope.WORK,
        "create": Scope.ADMIN, "partial_update": Scope.ADMIN, "destroy": Scope.ADMIN,
        "arrival": Scope.ADMIN,
    }  # fmt: skip
    serializer_class = PresetSerializer
    filterset_class = PresetFilter
    pagination_class = NewestFirst
    http_method_names = ["get", "head", "options", "post", "put", "patch", "delete"]
    queryset = Preset.objects.none()  # for the API schema; get_queryset gives the rows

    @cached_property
    def chosen(self) -> set[UUID]:
        """The presets that run on the uploads of this account: one query for all rows of a page."""
        return set(arrivals.chosen_by(self.request.user.pk or 0).values_list("pk", flat=True))

    def get_queryset(self) -> QuerySet[Preset]:
        return permissions.visible_presets(self.request.user)

    @extend_schema(request=PresetRequest, responses={201: PresetSerializer})
    def create(self, request: Request) -> Response:
        """Save a preset. Its parameters are checked as those of a job are."""
        user = permissions.require_submit(request.user)
        wanted = _valid(PresetRequest, request)
        owner = None if wanted["for_all"] else user
        permissions.require_on_preset(user, "add", None if owner is None else owner.pk)
        preset = presets.save(
            owner, wanted["name"], wanted["operation"], wanted.get("params"),
            on_arrival=wanted.get("on_arrival", False),
        )  # fmt: skip
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

    @extend_schema(request=ArrivalRequest, responses=PresetSerializer)
    @action(detail=True, methods=["put"], pagination_class=None)
    def arrival(self, request: Request, pk: str) -> Response:
        """Choose whether a preset runs on each of your own uploads. One for all can be switched off, or on."""
        user = permissions.require_submit(request.user)
        preset = get_object_or_404(permissions.usable_presets(user), pk=self.get_object().pk)
        arrivals.choose(user, preset, _valid(ArrivalRequest, request)["runs"])
        return self._answer(preset)

    def _answer(self, preset: Preset, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(preset).data, status=code)


class ArrivalView(APIView):
    scopes: Scopes = {"get": Scope.READ}

    @extend_schema(responses=ArrivalSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """Which presets did not run on a new file, and why. Those that did are jobs with `on_arrival`."""
        file = get_object_or_404(permissions.usable_files(request.user), pk=pk)
        found = Arrival.objects.filter(pk=file.pk).first()
        answer = {"waiting": found is not None and found.done_at is None, "notes": found.notes if found else []}
        return Response(ArrivalSerializer(answer).data)


def _valid(form: type[Strict], request: Request) -> dict[str, Any]:
    found = form(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
