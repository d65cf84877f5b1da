"""operations/: what can be done with files."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from uploads.access.authentication import Scopes
from uploads.scopes import Scope

from ..operations import registry
from .serializers import OperationSerializer


class OperationsView(APIView):
    scopes: Scopes = {"get": Scope.READ | Scope.WORK}

    @extend_schema(responses=OperationSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every operation, with the JSON Schema of its parameters."""
        return Response([OperationSerializer(operation).data for operation in registry.values()])
