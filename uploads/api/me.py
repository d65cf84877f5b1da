"""me/: the account of a request, its permissions and scopes, its quota and limits."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..access.authentication import Scopes, principal_of
from ..scopes import NAMES, Scope
from ..storage.stores import takes_direct_uploads
from ..transfers.quota import usage_of
from .tokens import TokenSerializer


class QuotaSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(source="limits.quota", allow_null=True, help_text="In bytes; null: no limit.")
    stored = serializers.IntegerField(help_text="Bytes of the stored files.")
    reserved = serializers.IntegerField(help_text="Bytes reserved for unfinished uploads, at their full size.")
    left = serializers.IntegerField(allow_null=True)


class UploadsSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(
        source="limits.max_uploads", help_text="How many uploads may be sent at the same time."
    )
    sending = serializers.IntegerField(help_text="How many are being sent now.")
    unfinished = serializers.IntegerField(help_text="How many have not ended, including paused ones.")
    max_file_size = serializers.IntegerField(
        source="limits.largest", allow_null=True, help_text="In bytes; null: no limit."
    )
    direct = serializers.SerializerMethodField(help_text="Whether files can be sent straight to the store.")

    def get_direct(self, _: Any) -> bool:
        return takes_direct_uploads()


class MeSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(source="user.username")
    is_staff = serializers.BooleanField(source="user.is_staff")
    groups = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(
        child=serializers.CharField(),
        help_text="For staff only. Other accounts may see and change only their own files and jobs.",
    )
    scopes = serializers.ListField(child=serializers.ChoiceField([(name, name) for name in NAMES]))
    token = TokenSerializer(allow_null=True, help_text="null for a session.")
    quota = QuotaSerializer()
    uploads = UploadsSerializer()


class MeView(APIView):
    scopes: Scopes = {"get": Scope.all()}

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Your account, the permissions and scopes of this request, and your limits with their current use."""
        principal = principal_of(request)
        user, use = principal.user, usage_of(principal.user.pk)
        found = {
            "user": user, "groups": sorted(user.groups.values_list("name", flat=True)), "token": principal.token,
            "permissions": sorted(user.get_all_permissions()) if user.is_staff else [],
            "scopes": principal.scopes.words, "quota": use, "uploads": use,
        }  # fmt: skip
        return Response(MeSerializer(found, context={"request": request}).data)
