"""operations/: the operations that jobs can run, with their parameters."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from uploads.access.authentication import Scopes
from uploads.scopes import Scope

from ..operations import registry
from ..operations.base import Operation
from ..queue.model_endpoints import schema


class OperationSerializer(serializers.Serializer[Operation[Any]]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    summary = serializers.CharField()
    lane = serializers.CharField()
    kinds = serializers.SerializerMethodField()
    parameters = serializers.SerializerMethodField(help_text="JSON Schema of `params`")

    def get_kinds(self, operation: Operation[Any]) -> list[str]:
        return sorted(operation.kinds)

    @extend_schema_field(serializers.DictField())
    def get_parameters(self, operation: Operation[Any]) -> dict[str, Any]:
        return schema(operation)


class OperationsView(APIView):
    scopes: Scopes = {"get": Scope.READ | Scope.WORK}

    @extend_schema(responses=OperationSerializer(many=True))
    def get(self, request: Request) -> Response:
        """All operations, with the JSON Schema of their parameters."""
        return Response([OperationSerializer(operation).data for operation in registry.values()])
